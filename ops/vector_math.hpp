#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace cotape::vector_math {

// Exponential functions that a compiler can vectorise: no branches, no calls. The float versions compute in double by a
// short series and round once, so that they are within 0.51 ulp of the exact value; the double versions are the
// standard library's.

/// exp(x) as 2^k (1 + t), where t, from exp(r) - 1 for |r| <= ln(2) / 2, has a relative error of 3e-10.
struct SplitExp {
    double k, power, t;
};

/// Beyond this exp(x) is no finite float, and exp(-x) is 0 as one.
constexpr double widest = 200;

[[gnu::always_inline]] inline double at_least(double least, double x) { return x < least ? least : x; }
[[gnu::always_inline]] inline double at_most(double most, double x) { return x > most ? most : x; }

/// For |x| <= widest.
[[gnu::always_inline]] inline SplitExp split_exp(double x) {
    constexpr double log2_e = 1.4426950408889634, ln_2 = 0.6931471805599453;
    constexpr double to_integer = 0x1.8p52; // adding it leaves the nearest integer in the low bits
    double shifted = x * log2_e + to_integer, k = shifted - to_integer;
    double r = x - k * ln_2;
    // (exp(r) - 1) / r by Chebyshev's points
    double series = 1 + r * (0.5000000047146057 + r * (0.16666666719028936 + r * (0.04166635277111221 +
                    r * (0.00833329846980059 + r * (0.0013941118895837 + r * 0.00019899285575896282)))));
    std::uint64_t exponent = (std::bit_cast<std::uint64_t>(shifted) + 1023) << 52;
    return {k, std::bit_cast<double>(exponent), r * series};
}

/// exp(x) to a relative error of 3e-10, for x from -widest on to 0 or to `widest`, and as at these ends outside.
[[gnu::always_inline]] inline double short_exp_below_0(double x) {
    SplitExp e = split_exp(at_least(-widest, x));
    return e.power * e.t + e.power;
}
[[gnu::always_inline]] inline double short_exp(double x) { return short_exp_below_0(at_most(widest, x)); }

/// log(x) to a relative error of 1e-11 for normal doubles; -inf at 0, NaN below.
[[gnu::always_inline]] inline double short_log(double x) {
    constexpr double ln_2 = 0.6931471805599453;
    std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
    std::uint64_t above = (bits - 0x3fe6a09e667f3bcdu) >> 52; // the exponent, of sqrt(1/2) times a power of two
    std::uint64_t signed_exponent = (above ^ 0x800) - 0x800;             // its sign carried from 12 bits to 64
    double mantissa = std::bit_cast<double>(bits - (above << 52));       // in [sqrt(1/2), sqrt(2))
    double exponent = std::bit_cast<double>(signed_exponent + 0x4338000000000000u) - 0x1.8p52;
    double f = (mantissa - 1) / (mantissa + 1), s = f * f;
    double series = 2 * f * (1 + s * (1.0 / 3 + s * (1.0 / 5 + s * (1.0 / 7 + s * (1.0 / 9 + s * (1.0 / 11 +
                    s * (1.0 / 13)))))));
    double result = exponent * ln_2 + series;
    result = x == 0 ? -std::numeric_limits<double>::infinity() : result;
    result = x < 0 ? std::numeric_limits<double>::quiet_NaN() : result;
    return x <= std::numeric_limits<double>::max() ? result : x; // inf and NaN are their own logarithms
}

/// exp(x) - 1 and log(1 + x), as exact for small x.
[[gnu::always_inline]] inline double short_expm1(double x) {
    SplitExp e = split_exp(at_least(-widest, at_most(widest, x)));
    return e.k == 0 ? e.t : e.power * e.t + (e.power - 1);
}
[[gnu::always_inline]] inline double short_log1p(double x) {
    double series = x * (1 - x * (1.0 / 2 - x * (1.0 / 3 - x * (1.0 / 4))));
    return std::abs(x) < 1e-3 ? series : short_log(1 + x);
}

[[gnu::always_inline]] inline float exp(float x) { return static_cast<float>(short_exp(static_cast<double>(x))); }
[[gnu::always_inline]] inline float log(float x) { return static_cast<float>(short_log(static_cast<double>(x))); }
[[gnu::always_inline]] inline float expm1(float x) { return static_cast<float>(short_expm1(static_cast<double>(x))); }
[[gnu::always_inline]] inline float log1p(float x) { return static_cast<float>(short_log1p(static_cast<double>(x))); }

[[gnu::always_inline]] inline float tanh(float x) {
    SplitExp e = split_exp(at_least(-widest, -2 * std::abs(static_cast<double>(x))));
    double t = e.power * e.t + (e.power - 1); // exp(-2|x|) - 1
    return static_cast<float>(std::copysign(t / (t + 2), static_cast<double>(x)));
}

/// 1 / (1 + exp(-x)).
[[gnu::always_inline]] inline float sigmoid(float x) {
    double e = short_exp_below_0(-std::abs(static_cast<double>(x)));
    return static_cast<float>((x < 0 ? e : 1) / (1 + e));
}

/// log(1 + exp(x)).
[[gnu::always_inline]] inline float softplus(float x) {
    double wide = static_cast<double>(x), positive = wide > 0 ? wide : wide < 0 ? 0 : wide;
    return static_cast<float>(positive + short_log1p(short_exp_below_0(-std::abs(wide))));
}

inline double exp(double x) { return std::exp(x); }
inline double log(double x) { return std::log(x); }
inline double expm1(double x) { return std::expm1(x); }
inline double log1p(double x) { return std::log1p(x); }
inline double tanh(double x) { return std::tanh(x); }
inline double sigmoid(double x) {
    double e = std::exp(-std::abs(x));
    return (x < 0 ? e : 1) / (1 + e);
}
inline double softplus(double x) {
    return (x > 0 ? x : x < 0 ? 0 : x) + std::log1p(std::exp(-std::abs(x)));
}

} // namespace cotape::vector_math

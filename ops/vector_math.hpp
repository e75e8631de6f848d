#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace cotape::vector_math {

// Exponential functions that a compiler can vectorise: no branches, no calls. The float versions compute in double by a
// short series and round once, so that they are within 0.51 ulp of the exact value; the double versions are the
// standard library's.

/// exp(x) to a relative error of 1e-11, for the whole range in which it is a finite float and beyond; inf and 0
/// outside.
[[gnu::always_inline]] inline double short_exp(double x) {
    constexpr double log2_e = 1.4426950408889634, ln_2_high = 0x1.62e42fefa0000p-1, ln_2_low = 0x1.cf79abc9e3b3ap-40;
    constexpr double to_integer = 0x1.8p52; // adding it leaves the nearest integer in the low bits
    x = x < -200 ? -200 : x > 200 ? 200 : x;
    double shifted = x * log2_e + to_integer, k = shifted - to_integer;
    double r = (x - k * ln_2_high) - k * ln_2_low; // |r| <= 0.35
    double series = 1 + r * (1 + r * (1.0 / 2 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120 + r * (1.0 / 720 +
                    r * (1.0 / 5040 + r * (1.0 / 40320 + r * (1.0 / 362880)))))))));
    std::uint64_t exponent = (std::bit_cast<std::uint64_t>(shifted) + 1023) << 52;
    return series * std::bit_cast<double>(exponent);
}

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
    double series = x * (1 + x * (1.0 / 2 + x * (1.0 / 6 + x * (1.0 / 24))));
    return std::abs(x) < 1e-3 ? series : short_exp(x) - 1;
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
    double t = short_expm1(-2 * std::abs(static_cast<double>(x)));
    return static_cast<float>(std::copysign(-t / (t + 2), static_cast<double>(x)));
}

/// 1 / (1 + exp(-x)).
[[gnu::always_inline]] inline float sigmoid(float x) {
    double e = short_exp(-std::abs(static_cast<double>(x)));
    return static_cast<float>((x < 0 ? e : 1) / (1 + e));
}

/// log(1 + exp(x)).
[[gnu::always_inline]] inline float softplus(float x) {
    double wide = static_cast<double>(x), positive = wide > 0 ? wide : wide < 0 ? 0 : wide;
    return static_cast<float>(positive + short_log1p(short_exp(-std::abs(wide))));
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

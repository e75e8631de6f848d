#include <algorithm>
#include <cmath>
#include <limits>

#include <cotape/core/cpu.hpp>
#include <cotape/core/dispatch.hpp>
#include <cotape/ops/folds.hpp>
#include <cotape/ops/vector_math.hpp>

namespace cotape {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t lanes = 16;

/// The larger or the smaller of two; NaN where one of them is.
template <bool largest>
[[gnu::always_inline]] inline double extremum(double best, double x) {
    return (largest ? x > best : x < best) || x != x ? x : best;
}

template <bool largest>
void extremum_rows(const void* x, Dtype dtype, const FoldRows& rows, double* state, std::int64_t) {
    visit_floating(dtype, [&]<class T>(T) {
        run_vectorized([&]() __attribute__((always_inline)) {
            double* __restrict__ best = state;
            for (std::int64_t row = 0; row < rows.count; ++row) {
                const T* __restrict__ from = static_cast<const T*>(x) + row * rows.distance;
                for (std::int64_t i = 0; i < rows.width; ++i)
                    best[i] = extremum<largest>(best[i], static_cast<double>(from[i]));
            }
        });
    });
}

template <bool largest>
void extremum_run(const void* x, Dtype dtype, std::int64_t count, double* state, std::int64_t) {
    visit_floating(dtype, [&]<class T>(T) {
        run_vectorized([&]() __attribute__((always_inline)) {
            const T* from = static_cast<const T*>(x);
            double best[lanes];
            for (double& lane : best) lane = *state;
            std::int64_t i = 0;
            for (; i + lanes <= count; i += lanes)
                for (std::int64_t lane = 0; lane < lanes; ++lane)
                    best[lane] = extremum<largest>(best[lane], static_cast<double>(from[i + lane]));
            for (; i < count; ++i) best[0] = extremum<largest>(best[0], static_cast<double>(from[i]));
            for (double lane : best) *state = extremum<largest>(*state, lane);
        });
    });
}

template <bool largest>
void join_extrema(double* state, const double* other, std::int64_t outputs, std::int64_t) {
    for (std::int64_t i = 0; i < outputs; ++i) state[i] = extremum<largest>(state[i], other[i]);
}

void finish_extremum(const double* state, double* results, std::int64_t outputs, std::int64_t, std::int64_t) {
    std::copy_n(state, outputs, results);
}

/// exp(x), for the terms of a sum of float32 elements only as exact as that needs.
template <class T>
[[gnu::always_inline]] inline double exp_of(double x) {
    if constexpr (sizeof(T) == sizeof(float)) return vector_math::short_exp(x);
    return std::exp(x);
}

/// Takes exp(x) into `sum`, a sum in units of exp(largest).
template <class T>
[[gnu::always_inline]] inline void add_exp(double x, double& largest, double& sum) {
    double distance = x == largest ? 0 : x - largest; // equal infinities have no difference
    double ratio = exp_of<T>(-std::abs(distance));
    sum = distance > 0 ? sum * ratio + 1 : sum + ratio;
    largest = distance > 0 ? x : largest;
}

void logsumexp_rows(const void* x, Dtype dtype, const FoldRows& rows, double* state, std::int64_t stride) {
    visit_floating(dtype, [&]<class T>(T) {
        run_vectorized([&]() __attribute__((always_inline)) {
            double *__restrict__ largest = state, *__restrict__ sums = state + stride;
            for (std::int64_t row = 0; row < rows.count; ++row) {
                const T* __restrict__ from = static_cast<const T*>(x) + row * rows.distance;
                for (std::int64_t i = 0; i < rows.width; ++i)
                    add_exp<T>(static_cast<double>(from[i]), largest[i], sums[i]);
            }
        });
    });
}

void logsumexp_run(const void* x, Dtype dtype, std::int64_t count, double* state, std::int64_t stride) {
    visit_floating(dtype, [&]<class T>(T) {
        const T* from = static_cast<const T*>(x);
        for (std::int64_t i = 0; i < count; ++i) add_exp<T>(static_cast<double>(from[i]), state[0], state[stride]);
    });
}

void join_logsumexps(double* state, const double* other, std::int64_t outputs, std::int64_t stride) {
    for (std::int64_t i = 0; i < outputs; ++i) {
        double a = state[i], b = other[i], largest = extremum<true>(a, b);
        state[stride + i] = state[stride + i] * (a == largest ? 1 : std::exp(a - largest)) +
                            other[stride + i] * (b == largest ? 1 : std::exp(b - largest));
        state[i] = largest;
    }
}

void finish_logsumexp(const double* state, double* results, std::int64_t outputs, std::int64_t stride, std::int64_t) {
    for (std::int64_t i = 0; i < outputs; ++i) results[i] = state[i] + std::log(state[stride + i]);
}

} // namespace

const FoldKernel max_fold{1, {-infinity}, extremum_rows<true>, extremum_run<true>, join_extrema<true>, finish_extremum};
const FoldKernel min_fold{1,
                          {infinity},
                          extremum_rows<false>,
                          extremum_run<false>,
                          join_extrema<false>,
                          finish_extremum};
const FoldKernel logsumexp_fold{2, {-infinity, 0}, logsumexp_rows, logsumexp_run, join_logsumexps, finish_logsumexp};

} // namespace cotape

#include <cotape/ops/folds.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include <cotape/core/cpu.hpp>
#include <cotape/core/dispatch.hpp>

namespace cotape {
namespace {

constexpr std::int64_t lanes = 16;

/// Sums of distances from a shift, and of their squares: what a sum, a mean and a variance are made of. Double sums of
/// float32 elements are exact enough unshifted, so that only squares, and float64 means, take the first element as
/// shift: the mean of equal elements is then that element, and a variance of n elements loses at most a factor n of the
/// precision of doubles, however far from zero they lie.
struct Sums {
    double* sum;
    double* count;
    double* shift;
    double* squares;

    Sums(double* state, std::int64_t stride)
        : sum(state), count(state + stride), shift(state + 2 * stride), squares(state + 3 * stride) {}
};

[[gnu::always_inline]] inline double shift_at(double first) {
    return std::abs(first) <= std::numeric_limits<double>::max() ? first : 0;
}

/// Adds `rows` rows at once: sums are read and written once for all of them.
template <int rows, bool shifted, bool squared, class T>
[[gnu::always_inline]] inline void add_rows_at_once(const T* __restrict__ x, std::int64_t distance, std::int64_t width,
                                                    double* __restrict__ sums, const double* __restrict__ shifts,
                                                    double* __restrict__ squared_sums) {
    for (std::int64_t i = 0; i < width; ++i) {
        double sum = sums[i], shift = shifted ? shifts[i] : 0, squares = squared ? squared_sums[i] : 0;
        for (int row = 0; row < rows; ++row) {
            double element = static_cast<double>(x[row * distance + i]);
            if constexpr (shifted) element -= shift;
            sum += element;
            if constexpr (squared) squares += element * element;
        }
        sums[i] = sum;
        if constexpr (squared) squared_sums[i] = squares;
    }
}

template <bool shifted, bool squared, class T>
void add_rows(const T* x, const FoldRows& rows, Sums sums) {
    run_vectorized([&]() __attribute__((always_inline)) {
        std::int64_t row = 0;
        for (; row + 8 <= rows.count; row += 8)
            add_rows_at_once<8, shifted, squared>(x + row * rows.distance, rows.distance, rows.width, sums.sum,
                                                  sums.shift, sums.squares);
        for (; row + 4 <= rows.count; row += 4)
            add_rows_at_once<4, shifted, squared>(x + row * rows.distance, rows.distance, rows.width, sums.sum,
                                                  sums.shift, sums.squares);
        for (; row < rows.count; ++row)
            add_rows_at_once<1, shifted, squared>(x + row * rows.distance, rows.distance, rows.width, sums.sum,
                                                  sums.shift, sums.squares);
    });
}

/// Sixteen lanes, joined in pairs.
template <bool shifted, bool squared, class T>
void add_run(const T* x, std::int64_t count, Sums sums) {
    run_vectorized([&]() __attribute__((always_inline)) {
        double sum[lanes] = {}, squares[lanes] = {}, shift = shifted ? *sums.shift : 0;
        auto add = [&](std::int64_t lane, T element) __attribute__((always_inline)) {
            double distance = static_cast<double>(element) - shift;
            sum[lane] += distance;
            if constexpr (squared) squares[lane] += distance * distance;
        };
        std::int64_t i = 0;
        for (; i + lanes <= count; i += lanes)
            for (std::int64_t lane = 0; lane < lanes; ++lane) add(lane, x[i + lane]);
        for (; i < count; ++i) add(i % lanes, x[i]);
        for (std::int64_t half = lanes / 2; half > 0; half /= 2)
            for (std::int64_t lane = 0; lane < half; ++lane) {
                sum[lane] += sum[lane + half];
                squares[lane] += squares[lane + half];
            }
        *sums.sum += sum[0];
        if constexpr (squared) *sums.squares += squares[0];
    });
}

void sum_rows(const void* x, Dtype dtype, const FoldRows& rows, double* state, std::int64_t stride) {
    visit_floating(dtype, [&]<class T>(T) {
        add_rows<false, false>(static_cast<const T*>(x), rows, Sums(state, stride));
    });
}

void sum_run(const void* x, Dtype dtype, std::int64_t count, double* state, std::int64_t stride) {
    visit_floating(dtype, [&]<class T>(T) {
        add_run<false, false>(static_cast<const T*>(x), count, Sums(state, stride));
    });
}

void join_sums(double* state, const double* other, std::int64_t outputs, std::int64_t) {
    for (std::int64_t i = 0; i < outputs; ++i) state[i] += other[i];
}

void finish_sum(const double* state, double* results, std::int64_t outputs, std::int64_t, std::int64_t) {
    std::copy_n(state, outputs, results);
}

/// Rows into sums that know how many elements they have taken, shifted for all but float32 means.
template <bool squared>
void moment_rows(const void* x, Dtype dtype, const FoldRows& rows, double* state, std::int64_t stride) {
    visit_floating(dtype, [&]<class T>(T) {
        constexpr bool shifted = squared || sizeof(T) == sizeof(double);
        const T* from = static_cast<const T*>(x);
        Sums sums(state, stride);
        double seen = *sums.count;
        if (shifted && seen == 0)
            run_vectorized([&]() __attribute__((always_inline)) {
#pragma GCC ivdep // sums are no elements
                for (std::int64_t i = 0; i < rows.width; ++i) sums.shift[i] = shift_at(static_cast<double>(from[i]));
            });
        add_rows<shifted, squared>(from, rows, sums);
        std::fill_n(sums.count, rows.width, seen + static_cast<double>(rows.count));
    });
}

template <bool squared>
void moment_run(const void* x, Dtype dtype, std::int64_t count, double* state, std::int64_t stride) {
    visit_floating(dtype, [&]<class T>(T) {
        constexpr bool shifted = squared || sizeof(T) == sizeof(double);
        const T* from = static_cast<const T*>(x);
        Sums sums(state, stride);
        if (shifted && *sums.count == 0) *sums.shift = shift_at(static_cast<double>(*from));
        add_run<shifted, squared>(from, count, sums);
        *sums.count += static_cast<double>(count);
    });
}

void join_means(double* state, const double* other, std::int64_t outputs, std::int64_t stride) {
    Sums sums(state, stride);
    const double *sum = other, *count = other + stride, *shift = other + 2 * stride;
    for (std::int64_t i = 0; i < outputs; ++i) {
        if (sums.count[i] == 0) sums.shift[i] = shift[i];
        sums.sum[i] += sum[i];
        if (shift[i] != sums.shift[i]) sums.sum[i] += (shift[i] - sums.shift[i]) * count[i];
        sums.count[i] += count[i];
    }
}

void finish_mean(const double* state, double* results, std::int64_t outputs, std::int64_t stride, std::int64_t count) {
    run_vectorized([&]() __attribute__((always_inline)) {
        const double *sum = state, *shift = state + 2 * stride;
        double elements = static_cast<double>(count);
#pragma GCC ivdep // results lie apart
        for (std::int64_t i = 0; i < outputs; ++i) results[i] = shift[i] + sum[i] / elements;
    });
}

/// The sum of the squared distances from the mean; infinite where the squares of finite distances overflow.
[[gnu::always_inline]] inline double squares_about_mean(double squares, double sum, double inverse_count) {
    constexpr double most = std::numeric_limits<double>::max();
    double about_mean = squares - sum * (sum * inverse_count), positive = about_mean < 0 ? 0 : about_mean;
    return squares > most && std::abs(sum) <= most ? squares : positive;
}

/// By the formula of Chan, Golub and LeVeque, without branches, so that it can be vectorised. `uniform`: all outputs of
/// a state have taken in equally many elements, and some; then nothing is divided output by output.
template <bool uniform>
[[gnu::always_inline]] inline void join_moments(const Sums& state, const Sums& other, std::int64_t outputs) {
    double count = state.count[0], other_count = other.count[0];
#pragma GCC ivdep // the states lie apart
    for (std::int64_t i = 0; i < outputs; ++i) {
        double n = uniform ? count : state.count[i], m = uniform ? other_count : other.count[i], total = n + m;
        double inverse_n = 1 / n, inverse_m = 1 / m, inverse_total = 1 / total;
        double apart = other.shift[i] - state.shift[i];
        double distance = apart + (other.sum[i] * inverse_m - state.sum[i] * inverse_n);
        double about_mean = squares_about_mean(state.squares[i], state.sum[i], inverse_n) +
                            squares_about_mean(other.squares[i], other.sum[i], inverse_m) +
                            distance * distance * (n * (m * inverse_total));
        double sum = state.sum[i] + (other.sum[i] + apart * m);
        double squares = about_mean + sum * (sum * inverse_total);
        bool none_here = !uniform && n == 0, none_there = !uniform && m == 0;
        state.sum[i] = none_there ? state.sum[i] : none_here ? other.sum[i] : sum;
        state.squares[i] = none_there ? state.squares[i] : none_here ? other.squares[i] : squares;
        state.shift[i] = none_here ? other.shift[i] : state.shift[i];
    }
}

void join_variances(double* into, const double* from, std::int64_t outputs, std::int64_t stride) {
    Sums state(into, stride), other(const_cast<double*>(from), stride);
    auto uniform = [outputs](const double* counts) {
        return counts[0] > 0 && std::all_of(counts, counts + outputs, [&](double count) { return count == counts[0]; });
    };
    bool both_uniform = uniform(state.count) && uniform(other.count);
    run_vectorized([&]() __attribute__((always_inline)) {
        if (both_uniform)
            join_moments<true>(state, other, outputs);
        else
            join_moments<false>(state, other, outputs);
        for (std::int64_t i = 0; i < outputs; ++i) state.count[i] += other.count[i];
    });
}

void finish_variance(const double* state, double* results, std::int64_t outputs, std::int64_t stride,
                     std::int64_t count) {
    run_vectorized([&]() __attribute__((always_inline)) {
        double inverse_count = 1 / static_cast<double>(count);
        const double *sum = state, *squares = state + 3 * stride;
#pragma GCC ivdep // results lie apart
        for (std::int64_t i = 0; i < outputs; ++i)
            results[i] = squares_about_mean(squares[i], sum[i], inverse_count) * inverse_count;
    });
}

} // namespace

const FoldKernel sum_fold{1, {}, sum_rows, sum_run, join_sums, finish_sum};
const FoldKernel variance_fold{4, {}, moment_rows<true>, moment_run<true>, join_variances, finish_variance};
const FoldKernel mean_fold{3,          {},          moment_rows<false>, moment_run<false>,
                           join_means, finish_mean, &variance_fold,     finish_mean};

} // namespace cotape

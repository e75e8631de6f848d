#include <cotape/ops/folds.hpp>

#include <algorithm>
#include <cmath>

#include <cotape/core/cpu.hpp>
#include <cotape/core/dispatch.hpp>

namespace cotape {
namespace {

constexpr std::int64_t lanes = 16;

/// The sum of term(x[i]), in sixteen lanes that are joined in order.
template <class T, class Term>
[[gnu::always_inline]] inline double sum_in_lanes(const T* x, std::int64_t count, Term term) {
    double sums[lanes] = {};
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes)
        for (std::int64_t lane = 0; lane < lanes; ++lane) sums[lane] += term(static_cast<double>(x[i + lane]));
    for (; i < count; ++i) sums[i % lanes] += term(static_cast<double>(x[i]));
    double total = sums[0];
    for (std::int64_t lane = 1; lane < lanes; ++lane) total += sums[lane];
    return total;
}

/// Calls `body.operator()<n>(first)` for all rows, n = 4 or 1 of them at a time: the state is then read and written once
/// for four rows.
template <class Body>
[[gnu::always_inline]] inline void for_rows(std::int64_t rows, Body body) {
    std::int64_t row = 0;
    for (; row + 4 <= rows; row += 4) body.template operator()<4>(row);
    for (; row < rows; ++row) body.template operator()<1>(row);
}

void sum_rows(const void* x, Dtype dtype, std::int64_t rows, std::int64_t count, double* state, std::int64_t) {
    visit_floating(dtype, [&]<class T>(T) {
        run_vectorized([&]() __attribute__((always_inline)) {
            for_rows(rows, [&]<int n>(std::int64_t first) __attribute__((always_inline)) {
                const T* __restrict__ from = static_cast<const T*>(x) + first * count;
                double* __restrict__ sums = state;
                for (std::int64_t i = 0; i < count; ++i) {
                    double sum = sums[i];
                    for (int row = 0; row < n; ++row) sum += static_cast<double>(from[row * count + i]);
                    sums[i] = sum;
                }
            });
        });
    });
}

void sum_run(const void* x, Dtype dtype, std::int64_t count, double* state, std::int64_t) {
    visit_floating(dtype, [&]<class T>(T) {
        run_vectorized([&]() __attribute__((always_inline)) {
            *state += sum_in_lanes(static_cast<const T*>(x), count, [](double element) { return element; });
        });
    });
}

void join_sums(double* state, const double* other, std::int64_t outputs, std::int64_t) {
    for (std::int64_t i = 0; i < outputs; ++i) state[i] += other[i];
}

void finish_sum(double*, std::int64_t, std::int64_t, std::int64_t) {}

/// The planes of a mean's state. float64 elements are summed as distances from the first one, so that the mean of equal
/// elements is that element; double sums of float32 elements are exact enough, and leave `shift` and `count` at 0.
struct ShiftedSums {
    double* sum;
    double* shift;
    double* count;

    ShiftedSums(double* state, std::int64_t stride) : sum(state), shift(state + stride), count(state + 2 * stride) {}
};

double shift_at(double first) { return std::isfinite(first) ? first : 0; }

void mean_rows(const void* x, Dtype dtype, std::int64_t rows, std::int64_t count, double* state, std::int64_t stride) {
    if (dtype == Dtype::float32) return sum_rows(x, dtype, rows, count, state, stride);
    const double* from = static_cast<const double*>(x);
    ShiftedSums sums(state, stride);
    double seen = sums.count[0];
    if (seen == 0) std::transform(from, from + count, sums.shift, shift_at);
    for (std::int64_t row = 0; row < rows; ++row, from += count)
        for (std::int64_t i = 0; i < count; ++i) sums.sum[i] += from[i] - sums.shift[i];
    std::fill_n(sums.count, count, seen + static_cast<double>(rows));
}

void mean_run(const void* x, Dtype dtype, std::int64_t count, double* state, std::int64_t stride) {
    if (dtype == Dtype::float32) return sum_run(x, dtype, count, state, stride);
    if (count == 0) return;
    const double* from = static_cast<const double*>(x);
    ShiftedSums sums(state, stride);
    if (*sums.count == 0) *sums.shift = shift_at(*from);
    *sums.sum += sum_in_lanes(from, count, [shift = *sums.shift](double element) { return element - shift; });
    *sums.count += static_cast<double>(count);
}

void join_means(double* state, const double* other, std::int64_t outputs, std::int64_t stride) {
    ShiftedSums sums(state, stride);
    const double *sum = other, *shift = other + stride, *count = other + 2 * stride;
    for (std::int64_t i = 0; i < outputs; ++i) {
        if (sums.count[i] == 0) sums.shift[i] = shift[i];
        sums.sum[i] += sum[i];
        if (shift[i] != sums.shift[i]) sums.sum[i] += (shift[i] - sums.shift[i]) * count[i];
        sums.count[i] += count[i];
    }
}

void finish_mean(double* state, std::int64_t outputs, std::int64_t stride, std::int64_t count) {
    ShiftedSums sums(state, stride);
    for (std::int64_t i = 0; i < outputs; ++i) state[i] = sums.shift[i] + sums.sum[i] / static_cast<double>(count);
}

/// The planes of a variance's state.
struct Moments {
    double* count;
    double* mean;
    double* squares;

    Moments(double* state, std::int64_t stride) : count(state), mean(state + stride), squares(state + 2 * stride) {}
};

void variance_rows(const void* x, Dtype dtype, std::int64_t rows, std::int64_t count, double* state,
                   std::int64_t stride) {
    visit_floating(dtype, [&]<class T>(T) {
        run_vectorized([&]() __attribute__((always_inline)) {
            Moments moments(state, stride);
            double seen = moments.count[0];
            for_rows(rows, [&]<int n>(std::int64_t first) __attribute__((always_inline)) {
                const T* __restrict__ from = static_cast<const T*>(x) + first * count;
                double* __restrict__ means = moments.mean;
                double* __restrict__ squares = moments.squares;
                double share[n];
                for (int row = 0; row < n; ++row) share[row] = 1 / (seen + static_cast<double>(first + row + 1));
                for (std::int64_t i = 0; i < count; ++i) {
                    double mean = means[i], square = squares[i];
                    for (int row = 0; row < n; ++row) {
                        double element = static_cast<double>(from[row * count + i]), distance = element - mean;
                        mean += distance * share[row];
                        square += distance * (element - mean);
                    }
                    means[i] = mean;
                    squares[i] = square;
                }
            });
            std::fill_n(moments.count, count, seen + static_cast<double>(rows));
        });
    });
}

void join_moments(Moments into, double count, double mean, double squares) {
    if (count == 0) return;
    double total = *into.count + count, distance = mean - *into.mean;
    *into.mean += distance * (count / total);
    *into.squares += squares + distance * distance * (*into.count * (count / total));
    *into.count = total;
}

void variance_run(const void* x, Dtype dtype, std::int64_t count, double* state, std::int64_t stride) {
    visit_floating(dtype, [&]<class T>(T) {
        const T* from = static_cast<const T*>(x);
        double mean = 0, squares = 0;
        run_vectorized([&]() __attribute__((always_inline)) {
            mean = sum_in_lanes(from, count, [](double element) { return element; }) / static_cast<double>(count);
            squares = sum_in_lanes(from, count, [mean](double element) { return (element - mean) * (element - mean); });
        });
        join_moments(Moments(state, stride), static_cast<double>(count), mean, squares);
    });
}

void join_variances(double* state, const double* other, std::int64_t outputs, std::int64_t stride) {
    for (std::int64_t i = 0; i < outputs; ++i)
        join_moments(Moments(state + i, stride), other[i], other[stride + i], other[2 * stride + i]);
}

void finish_variance(double* state, std::int64_t outputs, std::int64_t stride, std::int64_t count) {
    for (std::int64_t i = 0; i < outputs; ++i) state[i] = state[2 * stride + i] / static_cast<double>(count);
}

} // namespace

const FoldKernel sum_fold{1, sum_rows, sum_run, join_sums, finish_sum};
const FoldKernel mean_fold{3, mean_rows, mean_run, join_means, finish_mean};
const FoldKernel variance_fold{3, variance_rows, variance_run, join_variances, finish_variance};

} // namespace cotape

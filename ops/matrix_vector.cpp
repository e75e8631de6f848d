#include <cotape/ops/matrix_vector.hpp>

#include <algorithm>

#include <omp.h>

#include <cotape/core/cpu.hpp>

namespace cotape {
namespace {

/// Sums beside each other, which vectors of every instruction set hold.
constexpr int lanes = 16;
/// How far ahead of its use W is fetched, in bytes: rows follow one another, and no other data is worth waiting for.
constexpr std::int64_t fetched_ahead = 2048, cache_line = 64;
/// A cache line of float outputs, so that threads do not share one.
constexpr std::int64_t rows_of_chunk = 16;
/// Below this many elements of W, starting threads costs more than they save.
constexpr std::int64_t parallel_size = 64 * 1024;

/// Rows beside each other, so that one's sums need not wait for another's.
constexpr std::int64_t rows_at_once = 8;

/// The products of `rows` rows of W by x, each added up in the same order.
template <std::int64_t rows, class T>
[[gnu::always_inline]] inline void inner_products(const T* w, const T* x, T* y, std::int64_t columns) {
    constexpr std::int64_t line = cache_line / sizeof(T), ahead = fetched_ahead / sizeof(T);
    T sums[rows][lanes] = {};
    std::int64_t i = 0;
    for (; i + lanes <= columns; i += lanes)
        for (std::int64_t row = 0; row < rows; ++row) {
            const T* from = w + row * columns + i;
            for (std::int64_t next = 0; next < lanes; next += line) __builtin_prefetch(from + next + ahead, 0, 0);
#pragma omp simd
            for (int lane = 0; lane < lanes; ++lane) sums[row][lane] += from[lane] * x[i + lane];
        }
    for (std::int64_t row = 0; row < rows; ++row) {
        T sum = 0;
        for (std::int64_t k = i; k < columns; ++k) sum += w[row * columns + k] * x[k];
        for (T lane : sums[row]) sum += lane;
        y[row] = sum;
    }
}

template <class T>
void multiply(const T* w, const T* x, T* y, std::int64_t rows, std::int64_t columns) {
    auto multiply_rows = [=](std::int64_t begin, std::int64_t end) {
        run_vectorized([=]() __attribute__((always_inline)) {
            std::int64_t row = begin;
            for (; row + rows_at_once <= end; row += rows_at_once)
                inner_products<rows_at_once>(w + row * columns, x, y + row, columns);
            for (; row < end; ++row) inner_products<1>(w + row * columns, x, y + row, columns);
        });
    };
    if (rows * columns < parallel_size || omp_in_parallel() || omp_get_max_threads() == 1)
        return multiply_rows(0, rows);
#pragma omp parallel for
    for (std::int64_t row = 0; row < rows; row += rows_of_chunk)
        multiply_rows(row, std::min(rows, row + rows_of_chunk));
}

} // namespace

void multiply_vector(const float* w, const float* x, float* y, std::int64_t rows, std::int64_t columns) {
    multiply(w, x, y, rows, columns);
}
void multiply_vector(const double* w, const double* x, double* y, std::int64_t rows, std::int64_t columns) {
    multiply(w, x, y, rows, columns);
}

} // namespace cotape

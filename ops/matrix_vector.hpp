#pragma once

#include <cstdint>

namespace cotape {

/// y = W x for a dense row-major W, [rows, columns]. The same bits for every number of threads and every instruction
/// set.
void multiply_vector(const float* w, const float* x, float* y, std::int64_t rows, std::int64_t columns);
void multiply_vector(const double* w, const double* x, double* y, std::int64_t rows, std::int64_t columns);

} // namespace cotape

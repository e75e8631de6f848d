#pragma once

#include <cstdint>

namespace cotape {

/// C = A B for dense row-major matrices: A is m by k (stored k by m where transposed), B is k by n, C is m by n.
template <class T>
struct Gemm {
    bool transpose_a, transpose_b;
    std::int64_t m, n, k;
    const T* a;
    const T* b;
    T* c;
};

void run(const Gemm<float>& gemm);
void run(const Gemm<double>& gemm);

} // namespace cotape

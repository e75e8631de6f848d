#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// Which operands of a product are read transposed, in place.
struct MatmulOptions {
    bool transpose_a = false;
    bool transpose_b = false;
};

/// The matrix product of the last two axes: [..., m, k] by [..., k, n] gives [..., m, n]; the axes before them
/// broadcast. float32 products go to oneDNN where the library is built with it; the rest to BLAS. Throws ShapeError
/// where the inner extents differ or an operand has fewer than two axes.
Var matmul(Operand a, Operand b, MatmulOptions options = {});

} // namespace cotape

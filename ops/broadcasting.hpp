#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// `x` stretched to `shape` by NumPy's rule. Throws ShapeError where it does not fit.
Var broadcast_to(Operand x, const Shape& shape);

/// The adjoint of broadcast_to: sums `x` over the axes along which a tensor of `shape` was stretched, accumulated in
/// double. A factor that all terms of a sum share is multiplied after it: in float32 a sum of the other factors beyond
/// 3.4e38 is infinite, however small that factor. Returns `x` itself where it has that shape. Throws ShapeError where
/// `shape` does not broadcast to x's.
Var sum_to(Operand x, const Shape& shape);

} // namespace cotape

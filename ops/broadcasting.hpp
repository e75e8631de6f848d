#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// `x` stretched to `shape` by NumPy's rule. Throws ShapeError where it does not fit.
Var broadcast_to(Operand x, const Shape& shape);

/// The adjoint of broadcast_to: sums `x` over the axes along which a tensor of `shape` was stretched, accumulated in
/// double. Returns `x` itself where it has that shape. Throws ShapeError where `shape` does not broadcast to x's.
Var sum_to(Operand x, const Shape& shape);

} // namespace cotape

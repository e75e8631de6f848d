#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// The rows of x (its entries along the first axis) that `indices` (int64, any shape) names: shape indices.shape +
/// x.shape[1:]. An index outside the rows throws ValueError, with its position, when the value is computed.
Var take(Operand x, Operand indices);

/// The adjoint of take: `rows` rows of zeros, to which the entries of `x` are added where `indices` says.
Var scatter_add(Operand x, Operand indices, std::int64_t rows);

/// 1 at the position each label (int64) names along a new last axis of `classes`, 0 elsewhere. Not differentiable. A
/// label outside the classes throws ValueError, with its position, when the value is computed.
Var one_hot(Operand labels, std::int64_t classes, Dtype dtype = Dtype::float32);

} // namespace cotape

#pragma once

#include <vector>

#include <cotape/core/op.hpp>

namespace cotape {

// The same elements in another arrangement. All element types.

/// The elements in row-major order under another shape, not copied. One extent may be -1: it follows from the others.
/// Throws ShapeError where the counts differ.
Var reshape(Operand x, const Shape& shape);

/// The axes from `start` to `end` (both included, counted from the end where negative) merged into one; a scalar
/// becomes [1]. Throws ShapeError unless start <= end.
Var flatten(Operand x, std::int64_t start = 0, std::int64_t end = -1);

/// Axis i of the result is axis `order[i]` of x. Throws ShapeError unless `order` names each axis once.
Var permute(Operand x, const Shape& order);

/// Swaps the last two axes. Throws ShapeError below rank 2.
Var transpose(Operand x);

/// Elements `begin`, `begin + step`, ... before `end` along `axis`; negative positions count from the end.
/// Throws ShapeError unless 0 <= begin <= end <= extent and step > 0.
Var slice(Operand x, std::int64_t axis, std::int64_t begin, std::int64_t end, std::int64_t step = 1);

/// `before[i]` and `after[i]` elements of `value` added at the two ends of axis i. Throws ShapeError for negative
/// counts.
Var pad(Operand x, const Shape& before, const Shape& after, double value = 0);

/// The inputs one after the other along `axis`. Throws ShapeError unless they agree in all other extents.
Var concatenate(const std::vector<Operand>& inputs, std::int64_t axis);

/// The inputs, all of one shape, along a new axis at position `axis`.
Var stack(const std::vector<Operand>& inputs, std::int64_t axis = 0);

} // namespace cotape

#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// Whether a reduction leaves the reduced axes in the shape, with extent 1, so that the result broadcasts back.
struct ReduceOptions {
    bool keep_dims = false;
};

// Reductions over all axes, or over those given (negative ones count from the end; none give x itself, element by
// element). Accumulated in double whatever the element type. They throw ShapeError for an axis out of range or named
// twice, and for mean, max, min, variance and logsumexp over no elements.

Var sum(Operand x);
Var sum(Operand x, const Shape& axes, ReduceOptions options = {});

Var mean(Operand x);
Var mean(Operand x, const Shape& axes, ReduceOptions options = {});

/// NaN where any element is; the first of equal elements gets the cotangent.
Var max(Operand x);
Var max(Operand x, const Shape& axes, ReduceOptions options = {});

/// NaN where any element is; the first of equal elements gets the cotangent.
Var min(Operand x);
Var min(Operand x, const Shape& axes, ReduceOptions options = {});

/// The product, composed of multiplications in a balanced tree: no division, so that zero factors are right at every
/// order. 1 over no elements.
Var prod(Operand x);
Var prod(Operand x, const Shape& axes, ReduceOptions options = {});

/// The population variance (divided by the count), in two passes.
Var variance(Operand x);
Var variance(Operand x, const Shape& axes, ReduceOptions options = {});

/// log(sum(exp(x))) without overflow.
Var logsumexp(Operand x);
Var logsumexp(Operand x, const Shape& axes, ReduceOptions options = {});

/// The int64 position of the largest element along `axis`, the first of equals; a NaN counts as the largest. Not
/// differentiable.
Var argmax(Operand x, std::int64_t axis, ReduceOptions options = {});

} // namespace cotape

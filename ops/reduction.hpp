#pragma once

#include <vector>

#include <cotape/core/op.hpp>
#include <cotape/ops/reduction_kernel.hpp>
#include <cotape/ops/reductions.hpp>

namespace cotape {

// What the reductions share. Their attributes are "axes", the reduced ones in order, and "keep_dims".

Shape axes_of(const Attributes& attributes);

/// The shape with the reduced axes at extent 1, as broadcasting back needs it.
Shape kept_shape(Shape shape, const Shape& axes);

/// The axes counted from the front, in order. Throws ShapeError for one out of range or named twice.
Shape normalize_axes(const Operand& x, const Shape& axes, const std::string& operation);

/// Records the reduction `op` of x.
Var reduce(const Op& op, Operand x, const Shape& axes, ReduceOptions options);

Type reduced_type(const Call& call);
/// As reduced_type, for what is not defined over no elements.
Type reduced_type_of_some(const Call& call);

Tensor mean_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs);
/// The mean of the squared distances from the mean, which is found first.
Tensor variance_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs);

/// `reduced`, of a reduction's output type, stretched back over its input.
Var spread(const Rule& rule, Var reduced);
/// How many input elements go into each output.
double count_of(const Rule& rule);
Var mean_derivative(const Rule& rule);

template <class Fold>
std::vector<double> fold(const Call& call, const Tensor& x, std::span<const double> parameters = {}) {
    return ReductionLoops(x.shape(), axes_of(call.attributes)).fold<Fold>(x, parameters);
}

} // namespace cotape

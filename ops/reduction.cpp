#include <cotape/ops/reduction.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/floating_type.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {

Shape axes_of(const Attributes& attributes) { return attributes.integers("axes"); }

Shape kept_shape(Shape shape, const Shape& axes) {
    for (std::int64_t axis : axes) shape[static_cast<std::size_t>(axis)] = 1;
    return shape;
}

Type reduced_type(const Call& call) {
    Type type = floating_type(call);
    Shape axes = axes_of(call.attributes);
    if (call.attributes.flag("keep_dims")) {
        type.shape = kept_shape(type.shape, axes);
        return type;
    }
    Shape left;
    for (std::size_t i = 0; i < type.shape.size(); ++i)
        if (std::ranges::find(axes, static_cast<std::int64_t>(i)) == axes.end()) left.push_back(type.shape[i]);
    type.shape = left;
    return type;
}

Type reduced_type_of_some(const Call& call) {
    for (std::int64_t axis : axes_of(call.attributes))
        if (call.shape(0)[static_cast<std::size_t>(axis)] == 0)
            throw ShapeError(fmt::format("{}: needs at least one element along axis {}, got {}", call.name(), axis,
                                         to_string(call.shape(0))));
    return reduced_type(call);
}

Var spread(const Rule& rule, Var reduced) {
    const Shape& shape = rule.x[0].shape();
    return broadcast_to(reshape(reduced, kept_shape(shape, axes_of(rule.attributes))), shape);
}

double count_of(const Rule& rule) {
    return static_cast<double>(element_count(rule.x[0].shape())) / static_cast<double>(element_count(rule.y.shape()));
}

Shape normalize_axes(const Operand& x, const Shape& axes, const std::string& operation) {
    Shape normalized;
    for (std::int64_t axis : axes) normalized.push_back(normalize_axis(axis, x.var.shape().size(), operation));
    std::ranges::sort(normalized);
    if (std::ranges::adjacent_find(normalized) != normalized.end())
        throw ShapeError(fmt::format("{}: an axis is named twice in {}", operation, to_string(axes)));
    return normalized;
}

Var reduce(const Op& op, Operand x, const Shape& axes, ReduceOptions options) {
    return record(op, {x}, {{"axes", normalize_axes(x, axes, op.name)}, {"keep_dims", options.keep_dims}});
}

namespace {

std::vector<double> means(const Call& call, const Tensor& x) {
    std::vector<double> means = fold<SumFold>(call, x);
    double count = static_cast<double>(x.size()) / static_cast<double>(means.size());
    for (double& mean : means) mean /= count;
    if (x.dtype() == Dtype::float32) return means; // sums of these are exact, but for a wide range of sizes
    // Once more from there, so that the mean of equal float64 elements is that element.
    std::vector<double> distances = fold<DistanceFold>(call, x, means);
    for (std::size_t i = 0; i < means.size(); ++i)
        if (std::isfinite(distances[i])) means[i] += distances[i] / count;
    return means;
}

} // namespace

Tensor mean_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs) {
    return tensor_of_doubles(output, means(call, inputs[0]));
}

Tensor variance_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs) {
    std::vector<double> centres = means(call, inputs[0]);
    std::vector<double> variances = fold<SquaredDistanceFold>(call, inputs[0], centres);
    double count = static_cast<double>(inputs[0].size()) / static_cast<double>(variances.size());
    for (double& variance : variances) variance /= count;
    return tensor_of_doubles(output, variances);
}

Var mean_derivative(const Rule& rule) { return spread(rule, rule.g / count_of(rule)); }

} // namespace cotape

#include <cotape/ops/reductions.hpp>

#include <cmath>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/folds.hpp>
#include <cotape/ops/reduction.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

template <class Fold>
Tensor fold_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs) {
    return tensor_of_doubles(output, fold<Fold>(call, inputs[0]));
}

const Op sum_op{.name = "sum",
                .type = reduced_type,
                .kernel = fold_kernel<SumFold>,
                .derivative = [](const Rule& rule) { return spread(rule, rule.g); },
                .kind = OpKind::reduction,
                .fold = &sum_fold};

const Op mean_op{.name = "mean",
                 .type = reduced_type_of_some,
                 .kernel = mean_kernel,
                 .derivative = mean_derivative,
                 .kind = OpKind::reduction,
                 .fold = &mean_fold};

const Op variance_op{.name = "variance",
                     .type = reduced_type_of_some,
                     .kernel = variance_kernel,
                     .derivative =
                         [](const Rule& rule) {
                             Var x = rule.x[0];
                             Var centred = x - mean(x, axes_of(rule.attributes), {.keep_dims = true});
                             return spread(rule, rule.g * (2 / count_of(rule))) * centred;
                         },
                     .kind = OpKind::reduction,
                     .fold = &variance_fold};

/// 1 at the first element that equals the extremum over its group (or is NaN where that is), 0 elsewhere.
const Op first_extremum_op{
    .name = "first_extremum",
    .type = [](const Call& call) { return call.type(0); },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            Shape kept = kept_shape(output.shape, axes_of(call.attributes));
            std::vector<bool> found(static_cast<std::size_t>(inputs[1].size()));
            visit_floating(output.dtype, [&]<class T>(T) {
                std::span<const T> x = inputs[0].elements<T>(), extremum = inputs[1].elements<T>();
                std::span<T> mask = result.elements<T>();
                for (std::size_t i = 0; i < x.size(); ++i) {
                    std::size_t group = 0, rest = i, stride = 1;
                    for (std::size_t axis = output.shape.size(); axis-- > 0;) {
                        std::size_t extent = static_cast<std::size_t>(output.shape[axis]);
                        if (kept[axis] != 1) group += rest % extent * stride, stride *= extent;
                        rest /= extent;
                    }
                    bool is_first = !found[group] && (x[i] == extremum[group] || std::isnan(x[i]));
                    if (is_first) found[group] = true;
                    mask[i] = is_first ? 1 : 0;
                }
            });
            return std::move(result).freeze();
        },
};

Var extremum_derivative(const Rule& rule) {
    Var first = record(first_extremum_op, {rule.x[0], rule.y}, {{"axes", axes_of(rule.attributes)}});
    return where(first, spread(rule, rule.g), 0);
}

const Op max_op{.name = "max",
                .type = reduced_type_of_some,
                .kernel = fold_kernel<MaxFold>,
                .derivative = extremum_derivative,
                .kind = OpKind::reduction,
                .fold = &max_fold};

const Op min_op{.name = "min",
                .type = reduced_type_of_some,
                .kernel = fold_kernel<MinFold>,
                .derivative = extremum_derivative,
                .kind = OpKind::reduction,
                .fold = &min_fold};

/// The sum of exp(x - shift); the parameter is the shift.
struct ShiftedExpFold {
    static double start() { return 0; }
    static double step(double sum, double x, double shift) { return sum + std::exp(x - shift); }
    static double join(double a, double b) { return a + b; }
};

const Op logsumexp_op{.name = "logsumexp",
                      .type = reduced_type_of_some,
                      .kernel =
                          [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
                              std::vector<double> shifts = fold<MaxFold>(call, inputs[0]);
                              for (double& shift : shifts)
                                  if (std::isinf(shift)) shift = 0;
                              std::vector<double> results = fold<ShiftedExpFold>(call, inputs[0], shifts);
                              for (std::size_t i = 0; i < results.size(); ++i)
                                  results[i] = shifts[i] + std::log(results[i]);
                              return tensor_of_doubles(output, results);
                          },
                      .derivative =
                          [](const Rule& rule) {
                              return spread(rule, rule.g) * exp(rule.x[0] - spread(rule, rule.y));
                          },
                      .kind = OpKind::reduction,
                      .fold = &logsumexp_fold};

const Op argmax_op{
    .name = "argmax",
    .type =
        [](const Call& call) {
            Type type = reduced_type_of_some(call);
            type.dtype = Dtype::int64;
            return type;
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            const Shape& shape = inputs[0].shape();
            std::size_t axis = static_cast<std::size_t>(axes_of(call.attributes)[0]);
            std::int64_t inner = element_count(Shape(shape.begin() + axis + 1, shape.end())), extent = shape[axis];
            std::span<std::int64_t> positions = result.elements<std::int64_t>();
            visit_floating(inputs[0].dtype(), [&]<class T>(T) {
                const T* x = inputs[0].elements<T>().data();
                for (std::int64_t i = 0; i < result.size(); ++i) {
                    const T* first = x + i / inner * extent * inner + i % inner;
                    std::int64_t best = 0;
                    for (std::int64_t k = 1; k < extent && !std::isnan(first[best * inner]); ++k)
                        if (first[k * inner] > first[best * inner] || std::isnan(first[k * inner])) best = k;
                    positions[static_cast<std::size_t>(i)] = best;
                }
            });
            return std::move(result).freeze();
        },
    .kind = OpKind::reduction,
};

Shape all_axes(const Operand& x) {
    Shape axes(x.var.shape().size());
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
}

} // namespace

Var sum(Operand x) { return sum(x, all_axes(x)); }
Var sum(Operand x, const Shape& axes, ReduceOptions options) { return reduce(sum_op, x, axes, options); }
Var mean(Operand x) { return mean(x, all_axes(x)); }
Var mean(Operand x, const Shape& axes, ReduceOptions options) { return reduce(mean_op, x, axes, options); }
Var max(Operand x) { return max(x, all_axes(x)); }
Var max(Operand x, const Shape& axes, ReduceOptions options) { return reduce(max_op, x, axes, options); }
Var min(Operand x) { return min(x, all_axes(x)); }
Var min(Operand x, const Shape& axes, ReduceOptions options) { return reduce(min_op, x, axes, options); }
Var variance(Operand x) { return variance(x, all_axes(x)); }
Var variance(Operand x, const Shape& axes, ReduceOptions options) { return reduce(variance_op, x, axes, options); }
Var logsumexp(Operand x) { return logsumexp(x, all_axes(x)); }
Var logsumexp(Operand x, const Shape& axes, ReduceOptions options) { return reduce(logsumexp_op, x, axes, options); }

Var argmax(Operand x, std::int64_t axis, ReduceOptions options) { return reduce(argmax_op, x, {axis}, options); }

Var prod(Operand x) { return prod(x, all_axes(x)); }

Var prod(Operand x, const Shape& axes, ReduceOptions options) {
    LineScope line(x);
    Shape reduced = normalize_axes(x, axes, "prod");
    const Shape shape = x.var.shape();
    Shape order, left;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (std::ranges::find(reduced, static_cast<std::int64_t>(i)) != reduced.end()) continue;
        order.push_back(static_cast<std::int64_t>(i));
        left.push_back(shape[i]);
    }
    order.append(reduced.begin(), reduced.end());
    std::int64_t outer = element_count(left), count = 1;
    for (std::int64_t axis : reduced) count *= shape[static_cast<std::size_t>(axis)];

    Shape result = options.keep_dims ? kept_shape(shape, reduced) : left;
    if (count == 0) return x.var.tape().full(result, 1, x.var.dtype(), x.where);
    Var factors = reshape(permute(x, order), {outer, count});
    for (; count > 1; count = (count + 1) / 2) { // an odd one out stays for the next round
        std::int64_t half = count / 2;
        Var products = slice(factors, 1, 0, half) * slice(factors, 1, half, 2 * half);
        factors = count % 2 == 0 ? products : concatenate({products, slice(factors, 1, count - 1, count)}, 1);
    }
    return reshape(factors, result);
}

} // namespace cotape

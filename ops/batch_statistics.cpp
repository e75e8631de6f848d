#include <cotape/ops/batch_statistics.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/folds.hpp>
#include <cotape/ops/reduction.hpp>

namespace cotape {
namespace {

const Op batch_mean_op{.name = "batch_mean",
                       .type = reduced_type_of_some,
                       .kernel = mean_kernel,
                       .derivative = mean_derivative,
                       .kind = OpKind::reduction,
                       .fold = &mean_fold};

const Op batch_variance_op{.name = "batch_variance",
                           .type = reduced_type_of_some,
                           .kernel = variance_kernel,
                           .derivative =
                               [](const Rule& rule) {
                                   Var x = rule.x[0];
                                   return rule.g * (2 / count_of(rule)) * (x - batch_mean(x));
                               },
                           .kind = OpKind::reduction,
                           .fold = &variance_fold};

Var reduce_batch(const Op& op, Operand x) {
    const Shape& shape = x.var.shape();
    if (shape.size() < 2)
        throw ShapeError(fmt::format("{}: needs [batch, channels, ...], got {}", op.name, to_string(shape)));
    Shape axes{0};
    for (std::size_t axis = 2; axis < shape.size(); ++axis) axes.push_back(static_cast<std::int64_t>(axis));
    return reduce(op, x, axes, {.keep_dims = true});
}

} // namespace

Var batch_mean(Operand x) { return reduce_batch(batch_mean_op, x); }
Var batch_variance(Operand x) { return reduce_batch(batch_variance_op, x); }

} // namespace cotape

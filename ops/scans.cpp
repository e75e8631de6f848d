#include <cotape/ops/scans.hpp>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/floating_type.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

const Op cumsum_op{
    .name = "cumsum",
    .type = floating_type,
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            std::size_t axis = static_cast<std::size_t>(call.attributes.integer("axis"));
            bool reverse = call.attributes.flag("reverse");
            std::int64_t extent = output.shape[axis];
            std::int64_t inner = element_count(Shape(output.shape.begin() + axis + 1, output.shape.end()));
            std::int64_t runs = extent == 0 ? 0 : result.size() / extent;
            visit_floating(output.dtype, [&]<class T>(T) {
                for (std::int64_t run = 0; run < runs; ++run) {
                    std::int64_t first = run / inner * extent * inner + run % inner;
                    double sum = 0;
                    for (std::int64_t k = 0; k < extent; ++k) {
                        std::int64_t at = first + (reverse ? extent - 1 - k : k) * inner;
                        sum += static_cast<double>(inputs[0].elements<T>()[static_cast<std::size_t>(at)]);
                        result.elements<T>()[static_cast<std::size_t>(at)] = static_cast<T>(sum);
                    }
                }
            });
            return std::move(result).freeze();
        },
    .derivative = [](const Rule& rule) -> Var {
        return record(*rule.y.node().op, {rule.g},
                      {{"axis", rule.attributes.integer("axis")}, {"reverse", !rule.attributes.flag("reverse")}});
    },
};

} // namespace

Var cumsum(Operand x, std::int64_t axis) {
    axis = normalize_axis(axis, x.var.shape().size(), "cumsum");
    return record(cumsum_op, {x}, {{"axis", axis}, {"reverse", false}});
}

Var cumprod(Operand x, std::int64_t axis) {
    LineScope line(x);
    Tape::Transaction transaction(x.var.tape());
    require_floating(x.var.dtype(), "cumprod");
    axis = normalize_axis(axis, x.var.shape().size(), "cumprod");
    std::int64_t extent = x.var.shape()[static_cast<std::size_t>(axis)];
    Var products = x.var; // of up to `reach` elements
    for (std::int64_t reach = 1; reach < extent; reach *= 2)
        products = concatenate({slice(products, axis, 0, reach),
                                slice(products, axis, reach, extent) * slice(products, axis, 0, extent - reach)}, axis);
    transaction.keep();
    return products;
}

} // namespace cotape

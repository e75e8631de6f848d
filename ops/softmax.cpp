#include <cotape/ops/softmax.hpp>

#include <cmath>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/vector_math.hpp>

namespace cotape {
namespace {

Type softmax_type(const Call& call) {
    if (!is_floating(call.type(0).dtype))
        throw DtypeError(fmt::format("{}: needs float32 or float64, got {}", call.name(), to_string(call.type(0).dtype)));
    return call.type(0);
}

/// Calls `finish(x, largest, sum, y, stride)` for each group along the axis, with the sum of exp(x - largest).
template <class Finish>
Tensor softmax_groups(const Call& call, const Type& output, const Tensor& input, Finish finish) {
    MutableTensor result(output);
    std::size_t axis = static_cast<std::size_t>(call.attributes.integer("axis"));
    std::int64_t extent = output.shape[axis];
    std::int64_t inner = element_count(Shape(output.shape.begin() + axis + 1, output.shape.end()));
    std::int64_t groups = extent == 0 ? 0 : result.size() / extent;
    visit_floating(output.dtype, [&]<class T>(T) {
        const T* from = input.elements<T>().data();
        T* to = result.elements<T>().data();
#pragma omp parallel for if (result.size() >= 16 * 1024)
        for (std::int64_t group = 0; group < groups; ++group) {
            std::int64_t first = group / inner * extent * inner + group % inner;
            const T* x = from + first;
            T largest = x[0];
            for (std::int64_t i = 1; i < extent; ++i)
                if (x[i * inner] > largest) largest = x[i * inner];
            double sum = 0;
            for (std::int64_t i = 0; i < extent; ++i) sum += static_cast<double>(vector_math::exp(x[i * inner] - largest));
            for (std::int64_t i = 0; i < extent; ++i) to[first + i * inner] = finish(x[i * inner], largest, sum);
        }
    });
    return std::move(result).freeze();
}

Shape axis_of(const Rule& rule) { return {rule.attributes.integer("axis")}; }

const Op softmax_op{
    .name = "softmax",
    .type = softmax_type,
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            return softmax_groups(call, output, inputs[0], [](auto x, auto largest, double sum) {
                return static_cast<decltype(x)>(static_cast<double>(vector_math::exp(x - largest)) / sum);
            });
        },
    .derivative =
        [](const Rule& rule) {
            Var y = rule.y, g = rule.g;
            return y * (g - sum(g * y, axis_of(rule), {.keep_dims = true}));
        },
};

const Op log_softmax_op{
    .name = "log_softmax",
    .type = softmax_type,
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            return softmax_groups(call, output, inputs[0], [](auto x, auto largest, double sum) {
                return static_cast<decltype(x)>(static_cast<double>(x - largest) - std::log(sum));
            });
        },
    .derivative =
        [](const Rule& rule) {
            return rule.g - exp(rule.y) * sum(rule.g, axis_of(rule), {.keep_dims = true});
        },
};

Var along_axis(const Op& op, Operand x, std::int64_t axis) {
    return record(op, {x}, {{"axis", normalize_axis(axis, x.var.shape().size(), op.name)}});
}

} // namespace

Var softmax(Operand x, std::int64_t axis) { return along_axis(softmax_op, x, axis); }
Var log_softmax(Operand x, std::int64_t axis) { return along_axis(log_softmax_op, x, axis); }

} // namespace cotape

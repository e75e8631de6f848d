#include <cotape/ops/softmax.hpp>

#include <cmath>

#include <cotape/core/dispatch.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/floating_type.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/vector_math.hpp>

namespace cotape {
namespace {

/// One group of `extent` elements, `stride` apart; y may be x.
template <bool logarithm, class T>
[[gnu::always_inline]] inline void softmax_of(const T* x, T* y, std::int64_t extent, std::int64_t stride) {
    T largest = x[0];
    for (std::int64_t i = 1; i < extent; ++i)
        if (x[i * stride] > largest) largest = x[i * stride];
    double sum = 0;
    for (std::int64_t i = 0; i < extent; ++i) sum += static_cast<double>(vector_math::exp(x[i * stride] - largest));
    double log_sum = std::log(sum);
    for (std::int64_t i = 0; i < extent; ++i) {
        T shifted = x[i * stride] - largest;
        y[i * stride] = static_cast<T>(logarithm ? static_cast<double>(shifted) - log_sum
                                                 : static_cast<double>(vector_math::exp(shifted)) / sum);
    }
}

template <bool logarithm>
Tensor softmax_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs) {
    MutableTensor result(output);
    std::size_t axis = static_cast<std::size_t>(call.attributes.integer("axis"));
    std::int64_t extent = output.shape[axis];
    std::int64_t inner = element_count(Shape(output.shape.begin() + axis + 1, output.shape.end()));
    std::int64_t groups = extent == 0 ? 0 : result.size() / extent;
    visit_floating(output.dtype, [&]<class T>(T) {
        const T* from = inputs[0].elements<T>().data();
        T* to = result.elements<T>().data();
#pragma omp parallel for if (result.size() >= 16 * 1024)
        for (std::int64_t group = 0; group < groups; ++group) {
            std::int64_t first = group / inner * extent * inner + group % inner;
            softmax_of<logarithm>(from + first, to + first, extent, inner);
        }
    });
    return std::move(result).freeze();
}

template <bool logarithm, class T>
void softmax_rows(const void* input, void* output, std::size_t rows, std::size_t extent) {
    const T* x = static_cast<const T*>(input);
    T* y = static_cast<T*>(output);
    for (; rows > 0; --rows, x += extent, y += extent)
        softmax_of<logarithm>(x, y, static_cast<std::int64_t>(extent), 1);
}

/// What a softmax costs an element, in additions: two exponentials and some more.
constexpr int cost = 25;

Shape axis_of(const Rule& rule) { return {rule.attributes.integer("axis")}; }

const Op softmax_op{
    .name = "softmax",
    .type = floating_type,
    .kernel = softmax_kernel<false>,
    .derivative =
        [](const Rule& rule) {
            Var y = rule.y, g = rule.g;
            return y * (g - sum(g * y, axis_of(rule), {.keep_dims = true}));
        },
    .kind = OpKind::rowwise,
    .row_float32 = softmax_rows<false, float>,
    .row_float64 = softmax_rows<false, double>,
    .cost = cost,
};

const Op log_softmax_op{
    .name = "log_softmax",
    .type = floating_type,
    .kernel = softmax_kernel<true>,
    .derivative =
        [](const Rule& rule) {
            return rule.g - exp(rule.y) * sum(rule.g, axis_of(rule), {.keep_dims = true});
        },
    .kind = OpKind::rowwise,
    .row_float32 = softmax_rows<true, float>,
    .row_float64 = softmax_rows<true, double>,
    .cost = cost,
};

Var along_axis(const Op& op, Operand x, std::int64_t axis) {
    return record(op, {x}, {{"axis", normalize_axis(axis, x.var.shape().size(), op.name)}});
}

} // namespace

Var softmax(Operand x, std::int64_t axis) { return along_axis(softmax_op, x, axis); }
Var log_softmax(Operand x, std::int64_t axis) { return along_axis(log_softmax_op, x, axis); }

} // namespace cotape

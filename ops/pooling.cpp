#include <cotape/ops/pooling.hpp>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>
#include <cotape/ops/floating_type.hpp>
#include <cotape/ops/pooling_kernel.hpp>

namespace cotape {
namespace {

/// Where a window lies that slides along an axis. `counts_padding` says what its size is.
Pooling::Window window_of(const SlidingAxis& axis, std::int64_t output, bool counts_padding) {
    std::int64_t first = output * axis.stride - axis.padding, last = first + axis.dilation * (axis.kernel - 1);
    Pooling::Window window{first, axis.kernel, axis.dilation, 0};
    if (first < 0) {
        std::int64_t skipped = (-first + axis.dilation - 1) / axis.dilation;
        window.first += skipped * axis.dilation;
        window.count -= skipped;
    }
    if (last >= axis.input) window.count -= (last - axis.input) / axis.dilation + 1;
    window.size = counts_padding ? std::min(last + 1, axis.input + axis.padding) - first : window.count;
    return window;
}

/// The windows that slide over `extents`, with PyTorch's checks.
void slide(const Call& call, const Shape& extents, Pooling& pooling) {
    const Attributes& attributes = call.attributes;
    Shape kernel = attributes.integers("kernel_size"), stride = attributes.integers("stride");
    Shape padding = attributes.integers("padding"), dilation = attributes.integers("dilation");
    bool counts_padding = attributes.flag("count_include_pad"), ceil_mode = attributes.flag("ceil_mode");
    pooling.divisor = attributes.integer("divisor_override");
    for (std::size_t i = 0, at = 3 - extents.size(); i < extents.size(); ++i, ++at) {
        SlidingAxis axis(call.name(), extents[i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode);
        SlidingAxis::require_padding_within_window(call.name(), kernel[i], padding[i], dilation[i]);
        pooling.windows[at].clear();
        for (std::int64_t output = 0; output < axis.output; ++output) {
            pooling.windows[at].push_back(window_of(axis, output, counts_padding));
            if (pooling.windows[at].back().count < 1)
                throw ShapeError(fmt::format("{}: a window lies beside the extents {}", call.name(),
                                             to_string(extents)));
        }
    }
}

/// The windows of an adaptive pooling, which together cover `extents`.
void cover(const Call& call, const Shape& extents, Pooling& pooling) {
    Shape size = call.attributes.integers("output_size");
    for (std::size_t i = 0, at = 3 - size.size(); i < size.size(); ++i, ++at) {
        SlidingAxis::require_output_size(call.name(), size[i]);
        if (extents[i] < 1)
            throw ShapeError(fmt::format("{}: needs at least one element to pool, got extents {}", call.name(),
                                         to_string(extents)));
        pooling.windows[at].clear();
        for (std::int64_t output = 0; output < size[i]; ++output) {
            std::int64_t first = output * extents[i] / size[i];
            std::int64_t count = ((output + 1) * extents[i] + size[i] - 1) / size[i] - first;
            pooling.windows[at].push_back({first, count, 1, count});
        }
    }
}

bool is_adaptive(const Attributes& attributes) { return attributes.has("output_size"); }

/// The windows of an application of any of the ops below.
Pooling windows_of(const Call& call) {
    Shape extents = call.attributes.integers("extents");
    Pooling pooling;
    pooling.planes = call.shape(0)[0] * call.shape(0)[1];
    std::ranges::copy(extents, pooling.input.end() - static_cast<std::ptrdiff_t>(extents.size()));
    if (is_adaptive(call.attributes))
        cover(call, extents, pooling);
    else
        slide(call, extents, pooling);
    return pooling;
}

Type pooled_type(const Call& call) {
    Type type = floating_type(call);
    Pooling pooling = windows_of(call);
    std::size_t axes = type.shape.size() - 2;
    for (std::size_t i = 0; i < axes; ++i) type.shape[2 + i] = pooling.output(3 - axes + i);
    return type;
}

/// The ops of a kind for one, two and three spatial axes.
using Ops = std::array<Op, 3>;

/// Named `base` with the number of axes and `ending`. `kernel` computes the elements of the output from the windows and
/// from those of the first input and the last.
template <class Kernel>
Ops ops_of(const char* base, const char* ending, Type (*type)(const Call&), Kernel kernel,
           Var (*derivative)(const Rule&)) {
    auto compute = [kernel](const Call& call, const Type& output, std::span<const Tensor> inputs) {
        MutableTensor result(output);
        visit_floating(output.dtype, [&]<class T>(T) {
            kernel(windows_of(call), inputs.front().elements<T>().data(), inputs.back().elements<T>().data(),
                   result.elements<T>().data());
        });
        return std::move(result).freeze();
    };
    auto op = [&](int axes) {
        return Op{.name = fmt::format("{}{}d{}", base, axes, ending),
                  .type = type,
                  .kernel = compute,
                  .derivative = derivative};
    };
    return {op(1), op(2), op(3)};
}

// The maximum selects; selecting is linear in what is selected from, and scattering is its adjoint.

Var select_maxima_of(Var x, Var v, const Attributes& attributes);
Var scatter_to_maxima_of(Var x, Var g, const Attributes& attributes);

constexpr auto select = [](const Pooling& pooling, const auto* x, const auto* v, auto* y) {
    select_maxima(pooling, x, v, y);
};
constexpr auto scatter = [](const Pooling& pooling, const auto* x, const auto* g, auto* result) {
    scatter_to_maxima(pooling, x, g, result);
};

const Ops max_ops = ops_of("max_pool", "", pooled_type, select, [](const Rule& rule) {
    return scatter_to_maxima_of(rule.x[0], rule.g, rule.attributes);
});
const Ops select_ops = ops_of("max_pool", "_select", pooled_type, select, [](const Rule& rule) {
    return rule.input == 0 ? Var() : scatter_to_maxima_of(rule.x[0], rule.g, rule.attributes);
});
const Ops scatter_ops = ops_of("max_pool", "_scatter", floating_type, scatter, [](const Rule& rule) {
    return rule.input == 0 ? Var() : select_maxima_of(rule.x[0], rule.g, rule.attributes);
});

// Means are linear, and sharing out is their adjoint, with the same attributes.

Var average_of(Operand x, const Attributes& attributes);
Var share_out_of(Var g, const Attributes& attributes);

Ops mean_ops(const char* base) {
    return ops_of(
        base, "", pooled_type,
        [](const Pooling& pooling, const auto* x, const auto*, auto* y) { average(pooling, x, y); },
        [](const Rule& rule) { return share_out_of(rule.g, rule.attributes); });
}

Type unpooled_type(const Call& call) {
    Type type = floating_type(call);
    std::ranges::copy(call.attributes.integers("extents"), type.shape.begin() + 2);
    return type;
}

Ops adjoint_ops(const char* base) {
    return ops_of(
        base, "_adjoint", unpooled_type,
        [](const Pooling& pooling, const auto* g, const auto*, auto* x) { share_out(pooling, g, x); },
        [](const Rule& rule) { return average_of(rule.g, rule.attributes); });
}

const Ops avg_ops = mean_ops("avg_pool"), avg_adjoint_ops = adjoint_ops("avg_pool");
const Ops adaptive_ops = mean_ops("adaptive_avg_pool"), adaptive_adjoint_ops = adjoint_ops("adaptive_avg_pool");

const Op& pick(const Ops& ops, const Attributes& attributes) { return ops[attributes.integers("extents").size() - 1]; }

Var select_maxima_of(Var x, Var v, const Attributes& attributes) {
    return record(pick(select_ops, attributes), {x, v}, attributes);
}
Var scatter_to_maxima_of(Var x, Var g, const Attributes& attributes) {
    return record(pick(scatter_ops, attributes), {x, g}, attributes);
}
Var average_of(Operand x, const Attributes& attributes) {
    return record(pick(is_adaptive(attributes) ? adaptive_ops : avg_ops, attributes), {x}, attributes);
}
Var share_out_of(Var g, const Attributes& attributes) {
    return record(pick(is_adaptive(attributes) ? adaptive_adjoint_ops : avg_adjoint_ops, attributes), {g}, attributes);
}

/// The spatial extents of x. Throws ShapeError, naming the op, for another number of axes.
Shape extents_of(Operand x, std::size_t axes, const std::string& name) {
    const Shape& shape = x.var.shape();
    if (shape.size() != axes + 2)
        throw ShapeError(fmt::format("{}: needs an input of rank {}, got {}", name, axes + 2, to_string(shape)));
    return Shape(shape.begin() + 2, shape.end());
}

Var max_pool(std::size_t axes, Operand x, const PerAxis& kernel_size, const MaxPoolOptions& options) {
    const Op& op = max_ops[axes - 1];
    const PerAxis& stride = options.stride.values.empty() ? kernel_size : options.stride;
    return record(op, {x},
                  {{"extents", extents_of(x, axes, op.name)},
                   {"kernel_size", kernel_size.over(axes, op.name, "kernel_size")},
                   {"stride", stride.over(axes, op.name, "stride")},
                   {"padding", options.padding.over(axes, op.name, "padding")},
                   {"dilation", options.dilation.over(axes, op.name, "dilation")},
                   {"ceil_mode", options.ceil_mode},
                   {"count_include_pad", false},
                   {"divisor_override", 0}});
}

Var avg_pool(std::size_t axes, Operand x, const PerAxis& kernel_size, const AvgPoolOptions& options) {
    const std::string& name = avg_ops[axes - 1].name;
    const PerAxis& stride = options.stride.values.empty() ? kernel_size : options.stride;
    if (options.divisor_override == 0) throw ValueError(fmt::format("{}: divisor_override must not be 0", name));
    return average_of(x, {{"extents", extents_of(x, axes, name)},
                          {"kernel_size", kernel_size.over(axes, name, "kernel_size")},
                          {"stride", stride.over(axes, name, "stride")},
                          {"padding", options.padding.over(axes, name, "padding")},
                          {"dilation", Shape(axes, 1)},
                          {"ceil_mode", options.ceil_mode},
                          {"count_include_pad", options.count_include_pad},
                          {"divisor_override", options.divisor_override.value_or(0)}});
}

Var adaptive_avg_pool(std::size_t axes, Operand x, const PerAxis& output_size) {
    const std::string& name = adaptive_ops[axes - 1].name;
    return average_of(x, {{"extents", extents_of(x, axes, name)},
                          {"output_size", output_size.over(axes, name, "output_size")}});
}

} // namespace

Var max_pool1d(Operand x, const PerAxis& size, const MaxPoolOptions& options) { return max_pool(1, x, size, options); }
Var max_pool2d(Operand x, const PerAxis& size, const MaxPoolOptions& options) { return max_pool(2, x, size, options); }
Var max_pool3d(Operand x, const PerAxis& size, const MaxPoolOptions& options) { return max_pool(3, x, size, options); }

Var avg_pool1d(Operand x, const PerAxis& size, const AvgPoolOptions& options) { return avg_pool(1, x, size, options); }
Var avg_pool2d(Operand x, const PerAxis& size, const AvgPoolOptions& options) { return avg_pool(2, x, size, options); }
Var avg_pool3d(Operand x, const PerAxis& size, const AvgPoolOptions& options) { return avg_pool(3, x, size, options); }

Var adaptive_avg_pool1d(Operand x, const PerAxis& output_size) { return adaptive_avg_pool(1, x, output_size); }
Var adaptive_avg_pool2d(Operand x, const PerAxis& output_size) { return adaptive_avg_pool(2, x, output_size); }
Var adaptive_avg_pool3d(Operand x, const PerAxis& output_size) { return adaptive_avg_pool(3, x, output_size); }

} // namespace cotape

#include <cotape/ops/convolution.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/convolution_kernel.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

Shape spatial(const Shape& shape) { return Shape(shape.begin() + 2, shape.end()); }

Shape joined(std::int64_t first, std::int64_t second, const Shape& rest) {
    Shape shape{first, second};
    shape.append(rest.begin(), rest.end());
    return shape;
}

/// Throws unless both element types are the same floating one.
void require_dtypes(const std::string& name, Dtype first, Dtype second) {
    if (first != second || !is_floating(first))
        throw DtypeError(fmt::format("{}: cannot convolve {} with {}", name, to_string(first), to_string(second)));
}

/// Throws unless the output channels of a weight fall into so many groups.
void require_groups(const std::string& name, std::int64_t groups, std::int64_t outputs) {
    if (groups < 1) throw ValueError(fmt::format("{}: groups must be at least 1, got {}", name, groups));
    if (outputs % groups != 0)
        throw ShapeError(fmt::format("{}: {} channels do not fall into {} groups", name, outputs, groups));
}

/// The convolution of an x and a weight of these shapes, with the name and options of `call`, of any of the three ops.
Convolution convolution_of(const Call& call, const Shape& x, const Shape& weight) {
    const std::string& name = call.name();
    Shape stride = call.attributes.integers("stride"), padding = call.attributes.integers("padding");
    Shape dilation = call.attributes.integers("dilation");
    std::int64_t groups = call.attributes.integer("groups");
    if (x[1] != weight[1] * groups)
        throw ShapeError(fmt::format("{}: weight {} in {} groups takes {} channels, got input {}", name,
                                     to_string(weight), groups, weight[1] * groups, to_string(x)));
    Convolution shape{x[0], x[1], weight[0], groups, {}};
    std::size_t axes = x.size() - 2;
    for (std::size_t i = 0; i < axes; ++i)
        shape.axes[3 - axes + i] = SlidingAxis(name, x[2 + i], weight[2 + i], stride[i], padding[i], dilation[i]);
    return shape;
}

Shape output_shape(const Convolution& shape, std::size_t axes) {
    Shape extents;
    for (std::size_t i = 3 - axes; i < 3; ++i) extents.push_back(shape.axes[i].output);
    return joined(shape.batch, shape.outputs, extents);
}

/// Checks the element types and ranks of the two inputs, and that axis `outputs` of the second falls into groups.
void require_tensors(const Call& call, const char* first, const char* second, std::size_t outputs) {
    std::size_t rank = call.attributes.integers("stride").size() + 2;
    require_dtypes(call.name(), call.type(0).dtype, call.type(1).dtype);
    if (call.shape(0).size() != rank || call.shape(1).size() != rank)
        throw ShapeError(fmt::format("{}: needs {} and {} of rank {}, got {} and {}", call.name(), first, second, rank,
                                     to_string(call.shape(0)), to_string(call.shape(1))));
    require_groups(call.name(), call.attributes.integer("groups"), call.shape(1)[outputs]);
}

Convolution shape_of_output(const Call& call) {
    require_tensors(call, "an input", "a weight", 0);
    return convolution_of(call, call.shape(0), call.shape(1));
}

/// Checks that a cotangent of this shape belongs to the convolution.
void require_output(const Call& call, const Convolution& shape, const Shape& g, const Shape& x, const Shape& weight) {
    Shape expected = output_shape(shape, g.size() - 2);
    if (!(g == expected))
        throw ShapeError(fmt::format("{}: an output of {} with weight {} is {}, got {}", call.name(), to_string(x),
                                     to_string(weight), to_string(expected), to_string(g)));
}

Shape shape_of_x(const Call& call) {
    return joined(call.shape(0)[0], call.shape(1)[1] * call.attributes.integer("groups"),
                  call.attributes.integers("extents"));
}

Convolution shape_of_data(const Call& call) {
    require_tensors(call, "a cotangent", "a weight", 0);
    Shape x = shape_of_x(call);
    Convolution shape = convolution_of(call, x, call.shape(1));
    require_output(call, shape, call.shape(0), x, call.shape(1));
    return shape;
}

Shape shape_of_w(const Call& call) {
    return joined(call.shape(1)[1], call.shape(0)[1] / call.attributes.integer("groups"),
                  call.attributes.integers("extents"));
}

Convolution shape_of_weight(const Call& call) {
    require_tensors(call, "an input", "a cotangent", 1);
    Shape weight = shape_of_w(call);
    Convolution shape = convolution_of(call, call.shape(0), weight);
    require_output(call, shape, call.shape(1), call.shape(0), weight);
    return shape;
}

Tensor compute(const Convolution& shape, ConvolutionPart part, const Type& output, std::span<const Tensor> inputs) {
    MutableTensor result(output);
    visit_floating(output.dtype, [&]<class T>(T) {
        convolve(shape, part, inputs[0].elements<T>().data(), inputs[1].elements<T>().data(),
                 result.elements<T>().data());
    });
    return std::move(result).freeze();
}

Var record_output(Operand x, Operand weight, const Attributes& options);
Var record_data(Operand g, Operand weight, const Shape& extents, const Attributes& options);
Var record_weight(Operand x, Operand g, const Shape& extents, const Attributes& options);

// The three are linear in both inputs, and each is the derivative of the others.

Op output_op(std::string name) {
    return {.name = std::move(name),
            .type =
                [](const Call& call) {
                    return Type{output_shape(shape_of_output(call), call.shape(0).size() - 2), call.type(0).dtype};
                },
            .kernel =
                [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
                    return compute(shape_of_output(call), ConvolutionPart::output, output, inputs);
                },
            .derivative =
                [](const Rule& rule) {
                    Var x = rule.x[0], weight = rule.x[1], g = rule.g;
                    return rule.input == 0 ? record_data(g, weight, spatial(x.shape()), rule.attributes)
                                           : record_weight(x, g, spatial(weight.shape()), rule.attributes);
                }};
}

Op data_op(std::string name) {
    return {.name = std::move(name),
            .type =
                [](const Call& call) {
                    shape_of_data(call);
                    return Type{shape_of_x(call), call.type(0).dtype};
                },
            .kernel =
                [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
                    return compute(shape_of_data(call), ConvolutionPart::data, output, inputs);
                },
            .derivative =
                [](const Rule& rule) {
                    Var y = rule.x[0], weight = rule.x[1], g = rule.g;
                    return rule.input == 0 ? record_output(g, weight, rule.attributes)
                                           : record_weight(g, y, spatial(weight.shape()), rule.attributes);
                }};
}

Op weight_op(std::string name) {
    return {.name = std::move(name),
            .type =
                [](const Call& call) {
                    shape_of_weight(call);
                    return Type{shape_of_w(call), call.type(0).dtype};
                },
            .kernel =
                [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
                    return compute(shape_of_weight(call), ConvolutionPart::weight, output, inputs);
                },
            .derivative =
                [](const Rule& rule) {
                    Var x = rule.x[0], y = rule.x[1], g = rule.g;
                    return rule.input == 0 ? record_data(y, g, spatial(x.shape()), rule.attributes)
                                           : record_output(x, g, rule.attributes);
                }};
}

/// By the number of spatial axes.
const Op output_ops[]{output_op("conv1d"), output_op("conv2d"), output_op("conv3d")};
const Op data_ops[]{data_op("conv1d_data"), data_op("conv2d_data"), data_op("conv3d_data")};
const Op weight_ops[]{weight_op("conv1d_weight"), weight_op("conv2d_weight"), weight_op("conv3d_weight")};

const Op& of_axes(const Op (&ops)[3], std::size_t axes) { return ops[axes - 1]; }

Var record_output(Operand x, Operand weight, const Attributes& options) {
    Shape stride = options.integers("stride");
    return record(of_axes(output_ops, stride.size()), {x, weight},
                  {{"stride", stride},
                   {"padding", options.integers("padding")},
                   {"dilation", options.integers("dilation")},
                   {"groups", options.integer("groups")}});
}

Attributes with_extents(const Attributes& options, const Shape& extents) {
    return {{"extents", extents},
            {"stride", options.integers("stride")},
            {"padding", options.integers("padding")},
            {"dilation", options.integers("dilation")},
            {"groups", options.integer("groups")}};
}

Var record_data(Operand g, Operand weight, const Shape& extents, const Attributes& options) {
    return record(of_axes(data_ops, extents.size()), {g, weight}, with_extents(options, extents));
}

Var record_weight(Operand x, Operand g, const Shape& extents, const Attributes& options) {
    return record(of_axes(weight_ops, extents.size()), {x, g}, with_extents(options, extents));
}

Attributes attributes_of(const ConvolutionOptions& options, std::size_t axes, const std::string& name) {
    return {{"stride", options.stride.over(axes, name, "stride")},
            {"padding", options.padding.over(axes, name, "padding")},
            {"dilation", options.dilation.over(axes, name, "dilation")},
            {"groups", options.groups}};
}

std::size_t checked_axes(const Shape& extents, const char* name) {
    if (extents.empty() || extents.size() > 3)
        throw ShapeError(fmt::format("{}: extents must be 1 to 3 numbers, got {}", name, to_string(extents)));
    return extents.size();
}

Var convolution(std::size_t axes, Operand x, Operand weight, const ConvolutionOptions& options) {
    return record_output(x, weight, attributes_of(options, axes, of_axes(output_ops, axes).name));
}

Var transposed(std::size_t axes, Operand x, Operand weight, const ConvolutionTransposeOptions& options) {
    std::string name = fmt::format("conv_transpose{}d", axes);
    require_dtypes(name, x.var.dtype(), weight.var.dtype());
    const Shape &from = x.var.shape(), &kernel = weight.var.shape();
    if (from.size() != axes + 2 || kernel.size() != axes + 2)
        throw ShapeError(fmt::format("{}: needs an input and a weight of rank {}, got {} and {}", name, axes + 2,
                                     to_string(from), to_string(kernel)));
    if (from[1] != kernel[0])
        throw ShapeError(fmt::format("{}: weight {} takes {} channels, got input {}", name, to_string(kernel),
                                     kernel[0], to_string(from)));
    require_groups(name, options.groups, kernel[0]);
    Shape stride = options.stride.over(axes, name, "stride"), padding = options.padding.over(axes, name, "padding");
    Shape dilation = options.dilation.over(axes, name, "dilation"), extents;
    Shape output_padding = options.output_padding.over(axes, name, "output_padding"), none(axes + 2), further(axes + 2);
    for (std::size_t i = 0; i < axes; ++i) {
        SlidingAxis::require_options(name, kernel[2 + i], stride[i], padding[i], dilation[i]);
        SlidingAxis::require_output_padding(name, output_padding[i], stride[i], dilation[i]);
        extents.push_back((from[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[2 + i] - 1) +
                          output_padding[i] + 1);
        if (from[2 + i] < 1 || extents[i] < 1)
            throw ShapeError(fmt::format("{}: an input of {} with weight {} and padding {} has no output", name,
                                         to_string(from), to_string(kernel), to_string(padding)));
        // An output padding of a stride or more makes room for further windows, which no element of x stands for.
        SlidingAxis axis(name, extents[i], kernel[2 + i], stride[i], padding[i], dilation[i]);
        further[2 + i] = axis.output - from[2 + i];
    }
    LineScope line(x);
    Tape::Transaction transaction(x.var.tape());
    Var y = record_data(pad(x, none, further), weight, extents,
                        {{"stride", stride}, {"padding", padding}, {"dilation", dilation}, {"groups", options.groups}});
    transaction.keep();
    return y;
}

} // namespace

Var conv1d(Operand x, Operand weight, const ConvolutionOptions& options) { return convolution(1, x, weight, options); }
Var conv2d(Operand x, Operand weight, const ConvolutionOptions& options) { return convolution(2, x, weight, options); }
Var conv3d(Operand x, Operand weight, const ConvolutionOptions& options) { return convolution(3, x, weight, options); }

Var conv_data(Operand g, Operand weight, const Shape& extents, const ConvolutionOptions& options) {
    std::size_t axes = checked_axes(extents, "conv_data");
    return record_data(g, weight, extents, attributes_of(options, axes, "conv_data"));
}

Var conv_weight(Operand x, Operand g, const Shape& extents, const ConvolutionOptions& options) {
    std::size_t axes = checked_axes(extents, "conv_weight");
    return record_weight(x, g, extents, attributes_of(options, axes, "conv_weight"));
}

Var conv_transpose1d(Operand x, Operand weight, const ConvolutionTransposeOptions& options) {
    return transposed(1, x, weight, options);
}
Var conv_transpose2d(Operand x, Operand weight, const ConvolutionTransposeOptions& options) {
    return transposed(2, x, weight, options);
}
Var conv_transpose3d(Operand x, Operand weight, const ConvolutionTransposeOptions& options) {
    return transposed(3, x, weight, options);
}

} // namespace cotape

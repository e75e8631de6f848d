#include <cotape/nn/convolution.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/along_channels.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/sliding_axis.hpp>

namespace cotape::nn {
namespace {

/// The extents of a weight: `first` channels, `second` in all groups together, and the kernel. Throws for options that
/// no input would fit.
template <class Options>
Shape weight_shape(const std::string& name, std::size_t axes, std::int64_t first, std::int64_t second,
                   const PerAxis& kernel_size, const Options& options) {
    std::int64_t groups = options.groups;
    Shape kernel = kernel_size.over(axes, name, "kernel_size");
    if (first < 1 || second < 1)
        throw ValueError(
            fmt::format("{}: needs at least one channel on each side, got {} and {}", name, first, second));
    if (groups < 1 || first % groups != 0 || second % groups != 0)
        throw ValueError(fmt::format("{}: {} and {} channels do not fall into {} groups", name, first, second, groups));
    Shape stride = options.stride.over(axes, name, "stride"), padding = options.padding.over(axes, name, "padding");
    Shape dilation = options.dilation.over(axes, name, "dilation");
    for (std::size_t i = 0; i < axes; ++i)
        SlidingAxis::require_options(name, kernel[i], stride[i], padding[i], dilation[i]);
    Shape shape{first, second / groups};
    shape.append(kernel.begin(), kernel.end());
    return shape;
}

/// Fan-in counts what the second axis and the kernel hold.
double initial_bound(const Shape& weight) {
    return 1 / std::sqrt(static_cast<double>(element_count(weight)) / static_cast<double>(weight[0]));
}

/// ", stride [2, 1]" where it is not what it is by default.
std::string describe_option(const char* name, const PerAxis& option, std::int64_t usual) {
    if (std::ranges::all_of(option.values, [&](std::int64_t value) { return value == usual; })) return "";
    return option.values.size() == 1 ? fmt::format(", {} {}", name, option.values[0])
                                     : fmt::format(", {} {}", name, to_string(option.values));
}

template <class Options>
std::string describe_options(const Options& options, bool bias) {
    return describe_option("stride", options.stride, 1) + describe_option("padding", options.padding, 0) +
           describe_option("dilation", options.dilation, 1) + describe_option("groups", options.groups, 1) +
           (bias ? "" : ", no bias");
}

Shape kernel_of(const Shape& weight) { return Shape(weight.begin() + 2, weight.end()); }

} // namespace

Convolutional::Convolutional(const Shape& weight, std::int64_t output_channels, bool bias, std::mt19937& random)
    : WeightedSum(initial_bound(weight), weight, output_channels, bias, random) {}

Var Convolutional::forward(Var x) {
    Var factors = x.tape().variable(weight());
    require_dtype(factors, x.dtype());
    Var y = convolve(x, factors);
    return bias() ? y + along_channels(x.tape().variable(*bias()), y.shape()) : y;
}

Conv::Conv(std::size_t axes, std::int64_t inputs, std::int64_t outputs, const PerAxis& kernel_size,
           const ConvOptions& options, std::mt19937& random)
    : Convolutional(weight_shape(fmt::format("Conv{}d", axes), axes, outputs, inputs, kernel_size, options),
                    outputs, options.bias, random),
      options_{options.stride, options.padding, options.dilation, options.groups} {}

Var Conv::convolve(Var x, Var factors) {
    if (axes() == 1) return conv1d(x, factors, options_);
    return axes() == 2 ? conv2d(x, factors, options_) : conv3d(x, factors, options_);
}

std::string Conv::describe() const {
    const Shape& shape = weight().type().shape;
    return fmt::format("Conv{}d({} -> {}, kernel {}{})", axes(), shape[1] * options_.groups, shape[0],
                       to_string(kernel_of(shape)), describe_options(options_, bias().has_value()));
}

ConvTranspose::ConvTranspose(std::size_t axes, std::int64_t inputs, std::int64_t outputs, const PerAxis& kernel_size,
                             const ConvTransposeOptions& options, std::mt19937& random)
    : Convolutional(weight_shape(fmt::format("ConvTranspose{}d", axes), axes, inputs, outputs, kernel_size, options),
                    outputs, options.bias, random),
      options_{options.stride, options.padding, options.output_padding, options.dilation, options.groups} {
    std::string name = fmt::format("ConvTranspose{}d", axes);
    Shape stride = options.stride.over(axes, name, "stride"), dilation = options.dilation.over(axes, name, "dilation");
    Shape output_padding = options.output_padding.over(axes, name, "output_padding");
    for (std::size_t i = 0; i < axes; ++i)
        SlidingAxis::require_output_padding(name, output_padding[i], stride[i], dilation[i]);
}

Var ConvTranspose::convolve(Var x, Var factors) {
    if (axes() == 1) return conv_transpose1d(x, factors, options_);
    return axes() == 2 ? conv_transpose2d(x, factors, options_) : conv_transpose3d(x, factors, options_);
}

std::int64_t ConvTranspose::channel_of(std::int64_t position) const {
    const Shape& shape = weight().type().shape;
    std::int64_t taps = element_count(kernel_of(shape)), row = position / (shape[1] * taps);
    return row / (shape[0] / options_.groups) * shape[1] + position / taps % shape[1];
}

std::string ConvTranspose::describe() const {
    const Shape& shape = weight().type().shape;
    return fmt::format("ConvTranspose{}d({} -> {}, kernel {}{}{})", axes(), shape[0], shape[1] * options_.groups,
                       to_string(kernel_of(shape)), describe_option("output padding", options_.output_padding, 0),
                       describe_options(options_, bias().has_value()));
}

} // namespace cotape::nn

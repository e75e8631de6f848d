#include <cotape/nn/pooling.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/ops/sliding_axis.hpp>

namespace cotape::nn {
namespace {

/// "2" or "[2, 1]".
std::string text_of(const PerAxis& option) {
    return option.values.size() == 1 ? fmt::format("{}", option.values[0]) : to_string(option.values);
}

/// What both sliding pools can be told, where it was.
template <class Options>
std::string describe_windows(const PerAxis& kernel_size, const Options& options) {
    std::string text = "kernel " + text_of(kernel_size);
    if (!options.stride.values.empty()) text += ", stride " + text_of(options.stride);
    if (text_of(options.padding) != "0") text += ", padding " + text_of(options.padding);
    if (options.ceil_mode) text += ", rounded up";
    return text;
}

/// Throws for windows that could slide over no input.
template <class Options>
void require_windows(const std::string& name, std::size_t axes, const PerAxis& kernel_size, const Options& options,
                     const PerAxis& every_dilation) {
    Shape kernel = kernel_size.over(axes, name, "kernel_size"), stride = kernel;
    if (!options.stride.values.empty()) stride = options.stride.over(axes, name, "stride");
    Shape padding = options.padding.over(axes, name, "padding"), dilation = every_dilation.over(axes, name, "dilation");
    for (std::size_t i = 0; i < axes; ++i) {
        SlidingAxis::require_options(name, kernel[i], stride[i], padding[i], dilation[i]);
        SlidingAxis::require_padding_within_window(name, kernel[i], padding[i], dilation[i]);
    }
}

} // namespace

MaxPool::MaxPool(std::size_t axes, const PerAxis& kernel_size, const MaxPoolOptions& options)
    : axes_(axes), kernel_size_(kernel_size), options_(options) {
    require_windows(fmt::format("MaxPool{}d", axes), axes, kernel_size, options, options.dilation);
}

Var MaxPool::forward(Var x) {
    if (axes_ == 1) return max_pool1d(x, kernel_size_, options_);
    return axes_ == 2 ? max_pool2d(x, kernel_size_, options_) : max_pool3d(x, kernel_size_, options_);
}

std::string MaxPool::describe() const {
    std::string dilation = text_of(options_.dilation);
    return fmt::format("MaxPool{}d({}{})", axes_, describe_windows(kernel_size_, options_),
                       dilation == "1" ? "" : ", dilation " + dilation);
}

AvgPool::AvgPool(std::size_t axes, const PerAxis& kernel_size, const AvgPoolOptions& options)
    : axes_(axes), kernel_size_(kernel_size), options_(options) {
    std::string name = fmt::format("AvgPool{}d", axes);
    require_windows(name, axes, kernel_size, options, 1);
    if (options.divisor_override == 0) throw ValueError(fmt::format("{}: divisor_override must not be 0", name));
}

Var AvgPool::forward(Var x) {
    if (axes_ == 1) return avg_pool1d(x, kernel_size_, options_);
    return axes_ == 2 ? avg_pool2d(x, kernel_size_, options_) : avg_pool3d(x, kernel_size_, options_);
}

std::string AvgPool::describe() const {
    std::string text = describe_windows(kernel_size_, options_);
    if (!options_.count_include_pad) text += ", padding not counted";
    if (options_.divisor_override) text += fmt::format(", divided by {}", *options_.divisor_override);
    return fmt::format("AvgPool{}d({})", axes_, text);
}

AdaptiveAvgPool::AdaptiveAvgPool(std::size_t axes, const PerAxis& output_size)
    : axes_(axes), output_size_(output_size) {
    std::string name = fmt::format("AdaptiveAvgPool{}d", axes);
    for (std::int64_t extent : output_size.over(axes, name, "output_size"))
        SlidingAxis::require_output_size(name, extent);
}

Var AdaptiveAvgPool::forward(Var x) {
    if (axes_ == 1) return adaptive_avg_pool1d(x, output_size_);
    return axes_ == 2 ? adaptive_avg_pool2d(x, output_size_) : adaptive_avg_pool3d(x, output_size_);
}

std::string AdaptiveAvgPool::describe() const {
    return fmt::format("AdaptiveAvgPool{}d({})", axes_, text_of(output_size_));
}

} // namespace cotape::nn

#include <cotape/ops/sliding_axis.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape {
namespace {

/// Far above any tensor, and so low that no product of two such numbers overflows.
constexpr std::int64_t largest = std::int64_t(1) << 31;
/// Of one axis of an adaptive pooling, whose windows are listed one by one.
constexpr std::int64_t largest_output = 1 << 24;

void require_at_least(std::int64_t least, std::int64_t value, const std::string& operation, const char* option) {
    if (value < least || value > largest)
        throw ValueError(fmt::format("{}: {} must be from {} to {}, got {}", operation, option, least, largest, value));
}

} // namespace

void SlidingAxis::require_options(const std::string& operation, std::int64_t kernel, std::int64_t stride,
                                  std::int64_t padding, std::int64_t dilation) {
    require_at_least(1, kernel, operation, "kernel_size");
    require_at_least(1, stride, operation, "stride");
    require_at_least(0, padding, operation, "padding");
    require_at_least(1, dilation, operation, "dilation");
}

void SlidingAxis::require_output_padding(const std::string& operation, std::int64_t output_padding,
                                         std::int64_t stride, std::int64_t dilation) {
    if (output_padding < 0 || output_padding >= std::max(stride, dilation))
        throw ValueError(fmt::format("{}: output_padding must be at least 0 and less than the stride {} or the "
                                     "dilation {}, got {}",
                                     operation, stride, dilation, output_padding));
}

void SlidingAxis::require_padding_within_window(const std::string& operation, std::int64_t kernel,
                                                std::int64_t padding, std::int64_t dilation) {
    std::int64_t span = dilation * (kernel - 1) + 1;
    if (2 * padding > span)
        throw ValueError(fmt::format("{}: padding must be at most half the window, got {} for a window of {}",
                                     operation, padding, span));
}

void SlidingAxis::require_output_size(const std::string& operation, std::int64_t output_size) {
    if (output_size < 1)
        throw ValueError(fmt::format("{}: output_size must be at least 1, got {}", operation, output_size));
    if (output_size > largest_output)
        throw ValueError(
            fmt::format("{}: output_size must be at most {}, got {}", operation, largest_output, output_size));
}

SlidingAxis::SlidingAxis(const std::string& operation, std::int64_t input, std::int64_t kernel, std::int64_t stride,
                         std::int64_t padding, std::int64_t dilation, bool ceil_mode)
    : input(input), kernel(kernel), stride(stride), padding(padding), dilation(dilation) {
    require_options(operation, kernel, stride, padding, dilation);
    if (input < 0 || input > largest * largest / 4)
        throw ShapeError(fmt::format("{}: an axis of {} cannot be addressed", operation, input));
    std::int64_t room = input + 2 * padding - dilation * (kernel - 1) - 1;
    std::int64_t last = room + (ceil_mode ? stride - 1 : 0);
    output = last < 0 ? 0 : last / stride + 1;
    if (ceil_mode && (output - 1) * stride >= input + padding) --output;
    if (output < 1)
        throw ShapeError(fmt::format("{}: a window of {} does not fit into {} padded by {}", operation,
                                     dilation * (kernel - 1) + 1, input, padding));
}

} // namespace cotape

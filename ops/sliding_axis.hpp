#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

namespace cotape {

/// Fewer elements than this are convolved and pooled on one thread.
constexpr std::int64_t elements_worth_threads = 16 * 1024;

/// A spatial axis along which windows slide: output `o` reads the inputs `o * stride - padding + tap * dilation`.
struct SlidingAxis {
    std::int64_t input = 1, kernel = 1, stride = 1, padding = 0, dilation = 1;
    std::int64_t output = 1;

    /// The outputs of windows that lie within the padded input; with `ceil_mode` also of those that begin in the input
    /// or in the padding before it and reach beyond (PyTorch's rule). Throws ShapeError, naming `operation`, where no
    /// window fits, and as require_options.
    SlidingAxis(const std::string& operation, std::int64_t input, std::int64_t kernel, std::int64_t stride,
                std::int64_t padding, std::int64_t dilation, bool ceil_mode = false);
    SlidingAxis() = default;

    /// Throws ValueError, naming `operation`, for options out of range.
    static void require_options(const std::string& operation, std::int64_t kernel, std::int64_t stride,
                                std::int64_t padding, std::int64_t dilation);
    /// The same for the output padding of a transposed convolution.
    static void require_output_padding(const std::string& operation, std::int64_t output_padding, std::int64_t stride,
                                       std::int64_t dilation);
    /// The same for pooling: the padding is at most half the window.
    static void require_padding_within_window(const std::string& operation, std::int64_t kernel, std::int64_t padding,
                                              std::int64_t dilation);

    /// The same for an axis of adaptive pooling.
    static void require_output_size(const std::string& operation, std::int64_t output_size);

    std::int64_t position(std::int64_t out, std::int64_t tap) const { return out * stride - padding + tap * dilation; }

    /// The outputs whose `tap` lies in the input: those from `first` up to, not including, `last`.
    struct Range {
        std::int64_t first, last;
    };
    Range outputs_of(std::int64_t tap) const {
        std::int64_t offset = padding - tap * dilation; // 0 <= out * stride - offset < input
        std::int64_t first = offset > 0 ? (offset + stride - 1) / stride : 0;
        std::int64_t last = input + offset > 0 ? (input + offset - 1) / stride + 1 : 0;
        return {std::min(first, output), std::clamp(last, std::min(first, output), output)};
    }
};

} // namespace cotape

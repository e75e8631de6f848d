#pragma once

#include <optional>

#include <cotape/core/op.hpp>
#include <cotape/ops/per_axis.hpp>

namespace cotape {

// Pooling, with PyTorch's names and rules: x [N, C, spatial...] gives [N, C, spatial...], each window of each channel
// to one element. Without ceil_mode an extent becomes (input + 2 padding - dilation (kernel - 1) - 1) / stride + 1,
// rounded down; with it up, but for windows that would begin beyond the input and the padding before it. The padding is
// at most half the window, and belongs to no maximum. All throw ShapeError for shapes that do not fit, ValueError for
// options out of range, DtypeError for integers.

/// How the windows of max pooling move, with PyTorch's names and defaults.
struct MaxPoolOptions {
    /// The size of the window unless it is said.
    PerAxis stride = {};
    PerAxis padding = 0;
    PerAxis dilation = 1;
    bool ceil_mode = false;
};

/// The largest element of each window; NaN where one is NaN. The first of equals, in row-major order, and the first NaN
/// take the gradient.
Var max_pool1d(Operand x, const PerAxis& kernel_size, const MaxPoolOptions& options = {});
Var max_pool2d(Operand x, const PerAxis& kernel_size, const MaxPoolOptions& options = {});
Var max_pool3d(Operand x, const PerAxis& kernel_size, const MaxPoolOptions& options = {});

/// How the windows of average pooling move and what they count, with PyTorch's names and defaults.
struct AvgPoolOptions {
    /// The size of the window unless it is said.
    PerAxis stride = {};
    PerAxis padding = 0;
    bool ceil_mode = false;
    /// Whether the zeros of the padding count in the mean.
    bool count_include_pad = true;
    /// Divides the sum of each window instead of the count.
    std::optional<std::int64_t> divisor_override = {};
};

/// The mean of each window.
Var avg_pool1d(Operand x, const PerAxis& kernel_size, const AvgPoolOptions& options = {});
Var avg_pool2d(Operand x, const PerAxis& kernel_size, const AvgPoolOptions& options = {});
Var avg_pool3d(Operand x, const PerAxis& kernel_size, const AvgPoolOptions& options = {});

/// The mean of each of `output_size` windows, as equal as they can be: window i of n reads the inputs from i / n of the
/// extent, rounded down, to (i + 1) / n of it, rounded up.
Var adaptive_avg_pool1d(Operand x, const PerAxis& output_size);
Var adaptive_avg_pool2d(Operand x, const PerAxis& output_size);
Var adaptive_avg_pool3d(Operand x, const PerAxis& output_size);

} // namespace cotape

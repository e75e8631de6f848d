#pragma once

#include <cotape/core/op.hpp>
#include <cotape/ops/per_axis.hpp>

namespace cotape {

/// How the windows of a convolution move, with PyTorch's names.
struct ConvolutionOptions {
    PerAxis stride = 1;
    /// Zeros added at both ends of each spatial axis.
    PerAxis padding = 0;
    /// How far apart neighbouring elements of the kernel are on the input.
    PerAxis dilation = 1;
    /// Input and output channels fall into so many groups, each convolved by itself.
    std::int64_t groups = 1;
};

// Convolutions as nets have them (the kernel is not flipped), over 1, 2 or 3 spatial axes: x [N, C, spatial...] with
// weight [O, C / groups, kernel...] gives [N, O, spatial...], each extent
// (input + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down. A bias is added as any other tensor:
// `+ reshape(bias, {-1, 1, 1})`. float32 goes to oneDNN where the library is built with it; the rest is laid out as
// columns and multiplied. All throw ShapeError for shapes that do not fit, DtypeError for types that differ, and
// ValueError for options out of range.

Var conv1d(Operand x, Operand weight, const ConvolutionOptions& options = {});
Var conv2d(Operand x, Operand weight, const ConvolutionOptions& options = {});
Var conv3d(Operand x, Operand weight, const ConvolutionOptions& options = {});

/// The adjoint of a convolution for its data: the cotangent of an x whose spatial axes are `extents`, from the
/// cotangent `g` of the output.
Var conv_data(Operand g, Operand weight, const Shape& extents, const ConvolutionOptions& options = {});

/// The adjoint of a convolution for its weight: the cotangent of a weight whose kernel is `extents`, from x and the
/// cotangent `g` of the output.
Var conv_weight(Operand x, Operand g, const Shape& extents, const ConvolutionOptions& options = {});

/// How the windows of a transposed convolution move, with PyTorch's names: those of the convolution that it is the
/// adjoint of.
struct ConvolutionTransposeOptions {
    PerAxis stride = 1;
    PerAxis padding = 0;
    /// Added at the end of each spatial axis of the output; less than the stride or the dilation. It says which of the
    /// inputs that a strided convolution shrinks to one extent is meant.
    PerAxis output_padding = 0;
    PerAxis dilation = 1;
    std::int64_t groups = 1;
};

// Transposed convolutions: x [N, C, spatial...] with weight [C, O / groups, kernel...] gives [N, O, spatial...], each
// extent (input - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1. They are conv_data for that size.

Var conv_transpose1d(Operand x, Operand weight, const ConvolutionTransposeOptions& options = {});
Var conv_transpose2d(Operand x, Operand weight, const ConvolutionTransposeOptions& options = {});
Var conv_transpose3d(Operand x, Operand weight, const ConvolutionTransposeOptions& options = {});

} // namespace cotape

#pragma once

#include <array>

#include <cotape/core/shape.hpp>
#include <cotape/ops/sliding_axis.hpp>

namespace cotape {

/// One convolution y = x * w: x is [batch, inputs, spatial...], w is [outputs, inputs / groups, kernel...] and y is
/// [batch, outputs, spatial...], over three spatial axes, of which the first are trivial where there are fewer.
struct Convolution {
    std::int64_t batch = 0, inputs = 0, outputs = 0, groups = 1;
    std::array<SlidingAxis, 3> axes;

    std::int64_t input_plane() const { return axes[0].input * axes[1].input * axes[2].input; }
    std::int64_t output_plane() const { return axes[0].output * axes[1].output * axes[2].output; }
    std::int64_t taps() const { return axes[0].kernel * axes[1].kernel * axes[2].kernel; }
};

/// Which of the three is computed, from the other two: y from x and w, the cotangent of x from those of y and w, or the
/// cotangent of w from x and that of y.
enum class ConvolutionPart : std::uint8_t { output, data, weight };

/// Computes `part`. float32 goes to oneDNN where the library is built with it and that is the faster way.
void convolve(const Convolution& shape, ConvolutionPart part, const float* a, const float* b, float* result);
void convolve(const Convolution& shape, ConvolutionPart part, const double* a, const double* b, double* result);

/// The same by laying out the windows as columns of a matrix (im2col) and multiplying.
template <class T>
void convolve_by_columns(const Convolution& shape, ConvolutionPart part, const T* a, const T* b, T* result);

} // namespace cotape

#pragma once

#include <cstdint>
#include <vector>

namespace works {

/// Batch norm and relu over [images, channels, pixels], forward and backward, in hand-written loops: what a fused
/// kernel for this one purpose takes, to compare the composed one with. Statistics are those of the batch, summed in
/// double.
struct BatchNormByHand {
    std::int64_t images, channels, pixels;
    float epsilon = 1e-5f, momentum = 0.1f;
    std::vector<float> scale, shift, running_mean, running_variance;
    /// Results: the output, and the gradients of input, scale and shift.
    std::vector<float> y, x_gradient, scale_gradient, shift_gradient;

    BatchNormByHand(std::int64_t images, std::int64_t channels, std::int64_t pixels);
    /// `g` is the cotangent of the output.
    void run(const float* x, const float* g);

  private:
    std::vector<float> mean_, factor_;
    void forward(const float* x);
    void backward(const float* x, const float* g);
};

} // namespace works

#pragma once

#include <cotape/ops/convolution_kernel.hpp>

namespace cotape {

/// Computes `part` with oneDNN, in the layouts that it chooses. False, and nothing done, where oneDNN has no way. From
/// any thread; what is prepared for a shape is kept for the next time.
bool convolve_by_onednn(const Convolution& shape, ConvolutionPart part, const float* a, const float* b, float* result);

} // namespace cotape

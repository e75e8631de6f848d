#include <cotape/ops/convolution_kernel.hpp>

#if COTAPE_ONEDNN
#include <cotape/ops/convolution_onednn.hpp>
#endif

namespace cotape {

void convolve(const Convolution& shape, ConvolutionPart part, const float* a, const float* b, float* result) {
#if COTAPE_ONEDNN
    if (convolve_by_onednn(shape, part, a, b, result)) return;
#endif
    convolve_by_columns(shape, part, a, b, result);
}

void convolve(const Convolution& shape, ConvolutionPart part, const double* a, const double* b, double* result) {
    convolve_by_columns(shape, part, a, b, result);
}

} // namespace cotape

#include <cotape/ops/convolution_kernel.hpp>

#if COTAPE_ONEDNN
#include <cotape/core/cpu.hpp>
#include <cotape/ops/convolution_onednn.hpp>
#endif

namespace cotape {

void convolve(const Convolution& shape, ConvolutionPart part, const float* a, const float* b, float* result) {
#if COTAPE_ONEDNN
    // For the cotangents of one input channel, as of grey images, it has a fast way only where there is AVX-512:
    // elsewhere columns take a third to a half of the time.
    bool is_slow = shape.inputs == 1 && part != ConvolutionPart::output && cpu_level() != CpuLevel::avx512;
    if (!is_slow && convolve_by_onednn(shape, part, a, b, result)) return;
#endif
    convolve_by_columns(shape, part, a, b, result);
}

void convolve(const Convolution& shape, ConvolutionPart part, const double* a, const double* b, double* result) {
    convolve_by_columns(shape, part, a, b, result);
}

} // namespace cotape

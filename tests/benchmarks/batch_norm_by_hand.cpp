#include "batch_norm_by_hand.hpp"

#include <cmath>

#include <cotape/core/cpu.hpp>

namespace works {
BatchNormByHand::BatchNormByHand(std::int64_t image_count, std::int64_t channel_count, std::int64_t pixel_count)
    : images(image_count), channels(channel_count), pixels(pixel_count) {
    std::size_t per_channel = static_cast<std::size_t>(channels);
    for (std::vector<float>* zeros : {&shift, &running_mean, &scale_gradient, &shift_gradient, &mean_, &factor_})
        zeros->assign(per_channel, 0);
    scale.assign(per_channel, 1);
    running_variance.assign(per_channel, 1);
    y.resize(static_cast<std::size_t>(images * channels * pixels));
    x_gradient.resize(y.size());
}

void BatchNormByHand::run(const float* x, const float* g) {
    forward(x);
    backward(x, g);
}

void BatchNormByHand::forward(const float* x) {
    double count = static_cast<double>(images * pixels);
#pragma omp parallel for
    for (std::int64_t channel = 0; channel < channels; ++channel)
        cotape::run_vectorized([&]() __attribute__((always_inline)) {
            std::size_t c = static_cast<std::size_t>(channel);
            double origin = static_cast<double>(x[channel * pixels]), sum = 0, squares = 0;
            for (std::int64_t image = 0; image < images; ++image) {
                const float* from = x + (image * channels + channel) * pixels;
#pragma omp simd reduction(+ : sum, squares)
                for (std::int64_t i = 0; i < pixels; ++i) {
                    double distance = static_cast<double>(from[i]) - origin;
                    sum += distance;
                    squares += distance * distance;
                }
            }
            double variance = (squares - sum * sum / count) / count;
            float mean = static_cast<float>(origin + sum / count), offset = shift[c];
            float factor = scale[c] / std::sqrt(static_cast<float>(variance) + epsilon);
            for (std::int64_t image = 0; image < images; ++image) {
                const float* from = x + (image * channels + channel) * pixels;
                float* to = y.data() + (image * channels + channel) * pixels;
#pragma omp simd
                for (std::int64_t i = 0; i < pixels; ++i) {
                    float normalized = (from[i] - mean) * factor + offset;
                    to[i] = normalized <= 0 ? 0 : normalized;
                }
            }
            mean_[c] = mean;
            factor_[c] = factor;
            running_mean[c] += momentum * (mean - running_mean[c]);
            running_variance[c] +=
                momentum * (static_cast<float>(variance * count / (count - 1)) - running_variance[c]);
        });
}

void BatchNormByHand::backward(const float* x, const float* g) {
    double count = static_cast<double>(images * pixels);
#pragma omp parallel for
    for (std::int64_t channel = 0; channel < channels; ++channel)
        cotape::run_vectorized([&]() __attribute__((always_inline)) {
            std::size_t c = static_cast<std::size_t>(channel);
            float mean = mean_[c], factor = factor_[c];
            double sum = 0, product = 0;
            for (std::int64_t image = 0; image < images; ++image) {
                std::int64_t begin = (image * channels + channel) * pixels;
                const float *from = x + begin, *cotangent = g + begin, *output = y.data() + begin;
#pragma omp simd reduction(+ : sum, product)
                for (std::int64_t i = 0; i < pixels; ++i) {
                    float passed = output[i] > 0 ? cotangent[i] : 0;
                    sum += static_cast<double>(passed);
                    product += static_cast<double>(passed * (from[i] - mean));
                }
            }
            double inverse = static_cast<double>(factor / scale[c]);
            scale_gradient[c] = static_cast<float>(product * inverse);
            shift_gradient[c] = static_cast<float>(sum);
            float along = static_cast<float>(-product * inverse * inverse * static_cast<double>(factor) / count);
            float constant = static_cast<float>(-sum * static_cast<double>(factor) / count);
            for (std::int64_t image = 0; image < images; ++image) {
                std::int64_t begin = (image * channels + channel) * pixels;
                const float *from = x + begin, *cotangent = g + begin, *output = y.data() + begin;
                float* to = x_gradient.data() + begin;
#pragma omp simd
                for (std::int64_t i = 0; i < pixels; ++i) {
                    float passed = output[i] > 0 ? cotangent[i] : 0;
                    to[i] = passed * factor + (from[i] - mean) * along + constant;
                }
            }
        });
}

} // namespace works

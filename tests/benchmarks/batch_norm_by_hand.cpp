#include "batch_norm_by_hand.hpp"

#include <cmath>

#include <cotape/core/cpu.hpp>

namespace works {
namespace {

constexpr std::int64_t lanes = 16;

/// Calls take(i, lane) for all pixels of a channel, with `i` the position of the element.
template <class Take>
[[gnu::always_inline]] inline void for_channel(std::int64_t images, std::int64_t channels, std::int64_t pixels,
                                               std::int64_t channel, Take take) {
    for (std::int64_t image = 0; image < images; ++image) {
        std::int64_t begin = (image * channels + channel) * pixels, i = 0;
        for (; i + lanes <= pixels; i += lanes)
            for (std::int64_t lane = 0; lane < lanes; ++lane) take(begin + i + lane, lane);
        for (; i < pixels; ++i) take(begin + i, i % lanes);
    }
}

double total(const double (&sums)[lanes]) {
    double sum = 0;
    for (double lane : sums) sum += lane;
    return sum;
}

} // namespace

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
            double origin = static_cast<double>(x[channel * pixels]), sums[lanes] = {}, squares[lanes] = {};
            for_channel(images, channels, pixels, channel, [&](std::int64_t i, std::int64_t lane) __attribute__((always_inline)) {
                double distance = static_cast<double>(x[i]) - origin;
                sums[lane] += distance;
                squares[lane] += distance * distance;
            });
            double sum = total(sums), variance = (total(squares) - sum * sum / count) / count;
            float mean = static_cast<float>(origin + sum / count);
            float factor = scale[c] / std::sqrt(static_cast<float>(variance) + epsilon), offset = shift[c];
            float* out = y.data();
            for_channel(images, channels, pixels, channel, [&](std::int64_t i, std::int64_t) __attribute__((always_inline)) {
                float normalized = (x[i] - mean) * factor + offset;
                out[i] = normalized <= 0 ? 0 : normalized;
            });
            mean_[c] = mean;
            factor_[c] = factor;
            running_mean[c] += momentum * (mean - running_mean[c]);
            running_variance[c] += momentum * (static_cast<float>(variance * count / (count - 1)) - running_variance[c]);
        });
}

void BatchNormByHand::backward(const float* x, const float* g) {
    double count = static_cast<double>(images * pixels);
#pragma omp parallel for
    for (std::int64_t channel = 0; channel < channels; ++channel)
        cotape::run_vectorized([&]() __attribute__((always_inline)) {
            std::size_t c = static_cast<std::size_t>(channel);
            float mean = mean_[c], factor = factor_[c];
            const float* out = y.data();
            double sums[lanes] = {}, products[lanes] = {};
            for_channel(images, channels, pixels, channel, [&](std::int64_t i, std::int64_t lane) __attribute__((always_inline)) {
                float passed = out[i] > 0 ? g[i] : 0;
                sums[lane] += static_cast<double>(passed);
                products[lane] += static_cast<double>(passed * (x[i] - mean));
            });
            double sum = total(sums), product = total(products), inverse = static_cast<double>(factor / scale[c]);
            scale_gradient[c] = static_cast<float>(product * inverse);
            shift_gradient[c] = static_cast<float>(sum);
            float along = static_cast<float>(-product * inverse * inverse * static_cast<double>(factor) / count);
            float constant = static_cast<float>(-sum * static_cast<double>(factor) / count);
            float* gradient = x_gradient.data();
            for_channel(images, channels, pixels, channel, [&](std::int64_t i, std::int64_t) __attribute__((always_inline)) {
                float passed = out[i] > 0 ? g[i] : 0;
                gradient[i] = passed * factor + (x[i] - mean) * along + constant;
            });
        });
}

} // namespace works

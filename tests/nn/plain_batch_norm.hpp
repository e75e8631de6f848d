#pragma once

#include <cmath>
#include <vector>

#include <cotape/core/tensor.hpp>

namespace cotape::testing {

/// Batch normalisation of [N, C, ...] in plain loops over doubles, independent of Cotape's.
struct PlainBatchNorm {
    std::vector<double> mean, population_variance, sample_variance;
    std::vector<double> y;

    /// With the batch's own statistics.
    PlainBatchNorm(const Tensor& x, const std::vector<double>& scale, const std::vector<double>& shift,
                   double epsilon) {
        std::int64_t channels = x.shape()[1];
        for (std::int64_t c = 0; c < channels; ++c) {
            std::vector<double> values;
            for (std::int64_t i = 0; i < x.size(); ++i)
                if (channel_of(x, i) == c) values.push_back(x.at(i));
            double n = static_cast<double>(values.size()), sum = 0, squares = 0;
            for (double value : values) sum += value;
            for (double value : values) squares += (value - sum / n) * (value - sum / n);
            mean.push_back(sum / n);
            population_variance.push_back(squares / n);
            sample_variance.push_back(squares / (n - 1));
        }
        normalize(x, scale, shift, epsilon);
    }

    /// With given statistics.
    PlainBatchNorm(const Tensor& x, std::vector<double> mean, std::vector<double> variance,
                   const std::vector<double>& scale, const std::vector<double>& shift, double epsilon)
        : mean(std::move(mean)), population_variance(std::move(variance)) {
        normalize(x, scale, shift, epsilon);
    }

    static std::int64_t channel_of(const Tensor& x, std::int64_t position) {
        std::int64_t map = 1;
        for (std::size_t axis = 2; axis < x.shape().size(); ++axis) map *= x.shape()[axis];
        return position / map % x.shape()[1];
    }

  private:
    void normalize(const Tensor& x, const std::vector<double>& scale, const std::vector<double>& shift,
                   double epsilon) {
        for (std::int64_t i = 0; i < x.size(); ++i) {
            auto c = static_cast<std::size_t>(channel_of(x, i));
            y.push_back(scale[c] * (x.at(i) - mean[c]) / std::sqrt(population_variance[c] + epsilon) + shift[c]);
        }
    }
};

} // namespace cotape::testing

#include <cotape/nn/population_statistics.hpp>

#include <doctest/doctest.h>

#include <cotape/nn/audit.hpp>
#include <cotape/nn/batch_norm_lstm.hpp>
#include <cotape/nn/recurrent_batch_norm.hpp>
#include <cotape/ops/shaping.hpp>

#include "numbers.hpp"
#include "snapshot.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// Mean and population variance, feature by feature, of the rows that the masks of a step mark in all batches.
struct StepMoments {
    std::vector<double> mean, variance;

    StepMoments(const std::vector<Tensor>& batches, const std::vector<Tensor>& masks, std::int64_t step) {
        std::int64_t features = batches[0].shape()[2];
        for (std::int64_t feature = 0; feature < features; ++feature) {
            std::vector<double> values;
            for (std::size_t batch = 0; batch < batches.size(); ++batch) {
                std::int64_t examples = batches[batch].shape()[1];
                for (std::int64_t row = step * examples; row < (step + 1) * examples; ++row)
                    if (masks[batch].at(row) == 1) values.push_back(batches[batch].at(row * features + feature));
            }
            double n = static_cast<double>(values.size()), sum = 0, squares = 0;
            for (double value : values) sum += value;
            for (double value : values) squares += (value - sum / n) * (value - sum / n);
            mean.push_back(sum / n);
            variance.push_back(squares / n);
        }
    }
};

Tensor scaled(const Tensor& x, double factor, double offset) {
    return Tensor::make<float>(x.shape(), [&](std::span<float> y) {
        for (std::size_t i = 0; i < y.size(); ++i)
            y[i] = static_cast<float>(factor * x.at(static_cast<std::int64_t>(i)) + offset);
    });
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("population statistics per time step are those of all sequences that have the step") {
        std::vector<Tensor> batches{scattered({3, 5, 2}, 1), scaled(scattered({3, 4, 2}, 2), 3, 1)};
        std::vector<Tensor> masks{nn::padding_mask({3, 3, 2, 1, 1}, 3), nn::padding_mask({2, 2, 1, 1}, 3)};
        nn::RecurrentBatchNorm layer(2, 5);
        Snapshot before(layer);
        nn::PopulationSweep sweep(layer);
        for (std::size_t batch = 0; batch < 2; ++batch)
            sweep.add(batches[batch], [&](Var x) {
                std::int64_t examples = x.shape()[1];
                nn::Steps steps(x.tape(), 3, examples, masks[batch], x.dtype());
                return layer.normalize(x, steps);
            });
        CHECK(before.is_current());
        nn::PopulationStatistics found = sweep.statistics();
        REQUIRE(found.layers.size() == 1);
        CHECK(distance(found.layers[0].count, {9, 5, 2, 0, 0}) == 0);
        std::vector<double> means, variances;
        for (std::int64_t step : {0, 1, 2, 2, 2}) { // those that nothing reaches take the last one's
            StepMoments expected(batches, masks, step);
            means.insert(means.end(), expected.mean.begin(), expected.mean.end());
            variances.insert(variances.end(), expected.variance.begin(), expected.variance.end());
        }
        found.apply(layer);
        CHECK(distance(layer.running_mean(), means) < 1e-6);
        CHECK(distance(layer.running_variance(), variances) < 1e-6);
    }

    TEST_CASE("all normalisers of a batch-normalised LSTM get population statistics in one sweep, and an audit agrees") {
        std::mt19937 random(1);
        nn::BatchNormLSTM net(3, 4, 6, random);
        std::vector<Tensor> batches{scattered({6, 8, 3}, 1), scattered({6, 7, 3}, 2)};
        Snapshot before(net);
        nn::PopulationStatistics found = nn::population_statistics(net, batches);
        CHECK(before.is_current());
        CHECK(found.layers.size() == 3);
        for (const nn::PopulationStatistics::Layer& layer : found.layers) {
            CHECK(layer.mean.shape()[0] == 6);
            CHECK(distance(layer.count, std::vector<double>(6, 15)) == 0);
        }
        found.apply(net);
        net.evaluate();
        for (const nn::NormalizerAudit& audit : nn::audit(net, batches).normalizers) {
            CHECK(audit.mean_distance < 1e-5);
            CHECK(audit.variance_distance < 1e-5);
        }
    }
}

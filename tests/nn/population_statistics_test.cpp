#include <cotape/nn/population_statistics.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/data/batches.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/dropout.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>

#include "numbers.hpp"
#include "plain_batch_norm.hpp"
#include "snapshot.hpp"
#include "standard_error.hpp"
#include "step_norm.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// 40 rows of 4 in batches of 7, the last of 5.
data::Batches rows_in_batches() {
    return data::batches({scattered({40, 4}, 3), Tensor::full({40}, 0, Dtype::int64)}, 7);
}

nn::Sequential make_net() {
    std::mt19937 random(3);
    return nn::Sequential(nn::Linear(4, 3, {.bias = false}, random), nn::BatchNorm1d(3), nn::Tanh(),
                          nn::Linear(3, 2, random), nn::BatchNorm1d(2, {.epsilon = 0.1}));
}

Tensor linear(const Tensor& x, nn::Module& net, std::size_t weight, std::optional<std::size_t> bias = {}) {
    Tensor w = net.parameters()[weight].state.value();
    std::int64_t rows = x.shape()[0], inputs = x.shape()[1], outputs = w.shape()[0];
    return Tensor::make<double>({rows, outputs}, [&](std::span<double> y) {
        for (std::int64_t i = 0; i < rows * outputs; ++i) {
            double sum = bias ? net.parameters()[*bias].state.value().at(i % outputs) : 0;
            for (std::int64_t k = 0; k < inputs; ++k)
                sum += x.at(i / outputs * inputs + k) * w.at(i % outputs * inputs + k);
            y[static_cast<std::size_t>(i)] = sum;
        }
    });
}

/// Mean and population variance of all rows.
PlainBatchNorm brute_force(const Tensor& x) {
    std::vector<double> any(static_cast<std::size_t>(x.shape()[1]), 1);
    return PlainBatchNorm(x, any, any, 1e-5);
}

Tensor joined(const std::vector<Tensor>& parts) {
    Shape shape = parts[0].shape();
    shape[0] = 0;
    std::vector<double> elements;
    for (const Tensor& part : parts) {
        shape[0] += part.shape()[0];
        for (double element : elements_of(part)) elements.push_back(element);
    }
    return Tensor::of<double>(shape, elements);
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("the first normaliser's population statistics are those of the whole set, whatever the batches' sizes") {
        nn::Sequential net = make_net();
        std::vector<Tensor> inputs;
        for (const auto& batch : rows_in_batches()) inputs.push_back(batch.inputs);
        CHECK(inputs.back().shape()[0] == 5);
        PlainBatchNorm expected = brute_force(linear(joined(inputs), net, 0));
        nn::PopulationStatistics found = nn::population_statistics(net, rows_in_batches());
        REQUIRE(found.layers.size() == 2);
        CHECK(found.layers[0].path == "1");
        CHECK(distance(found.layers[0].mean, expected.mean) < 1e-14);
        CHECK(distance(found.layers[0].variance, expected.population_variance) < 1e-14);
        CHECK(found.layers[0].count.item() == 40);
        CHECK(found.layers[0].variance.dtype() == Dtype::float64);
    }

    TEST_CASE("behind a normaliser they are those of what the batch's statistics have normalised") {
        nn::Sequential net = make_net();
        net.parameters()[1].state.assign(Tensor::of<float>({3}, {1.5, -0.5, 2}));
        net.parameters()[2].state.assign(Tensor::of<float>({3}, {0.25, 1, -1}));
        std::vector<Tensor> reaching;
        for (const auto& batch : rows_in_batches()) {
            std::vector<double> y = PlainBatchNorm(linear(batch.inputs, net, 0), {1.5, -0.5, 2}, {0.25, 1, -1}, 1e-5).y;
            for (double& element : y) element = std::tanh(element);
            reaching.push_back(linear(Tensor::of<double>({batch.size(), 3}, y), net, 3, 4));
        }
        PlainBatchNorm expected = brute_force(joined(reaching));
        nn::PopulationStatistics found = nn::population_statistics(net, rows_in_batches());
        CHECK(found.layers[1].path == "4");
        CHECK(distance(found.layers[1].mean, expected.mean) < 1e-13);
        CHECK(distance(found.layers[1].variance, expected.population_variance) < 1e-13);
    }

    TEST_CASE("population statistics are exact where the mean is far larger than the spread") {
        // The mean of a batch is no float32; as a float64 it is rounded to 2e-9, and lies within 0.02 of the whole's.
        std::vector<float> values;
        for (int i = 0; i < 1000; ++i) values.push_back(1e7f + static_cast<float>(i % 3));
        Tensor all = Tensor::of<float>({1000, 1}, values);
        nn::BatchNorm1d layer(1);
        nn::PopulationStatistics found = nn::population_statistics(
            layer, data::batches({all, Tensor::full({1000}, 0, Dtype::int64)}, 64));
        CHECK(found.layers[0].mean.item() == doctest::Approx(1e7 + 0.999).epsilon(1e-15));
        CHECK(found.layers[0].variance.item() ==
              doctest::Approx(0.666999).epsilon(1e-10)); // 333 (1 + 4) / 1000 - 0.999^2
    }

    TEST_CASE("feature maps and time steps have their own population statistics") {
        Tensor a = scattered({3, 2, 4, 5}, 1), b = scattered({1, 2, 4, 5}, 2);
        nn::BatchNorm2d maps(2);
        PlainBatchNorm expected = brute_force(joined({a, b}).reshaped({4, 2, 20}));
        nn::PopulationStatistics found = nn::population_statistics(maps, std::vector<Tensor>{a, b});
        CHECK(distance(found.layers[0].mean, expected.mean) < 1e-14);
        CHECK(distance(found.layers[0].variance, expected.population_variance) < 1e-14);
        CHECK(found.layers[0].count.item() == 80);

        StepNorm steps(3, 1, 0.1, Tensor::of<double>({3, 1}, {2, 2, 0}));
        Tensor first = Tensor::of<float>({3, 2, 1}, {1, 3, 5, 5, 9, 9}),
               second = Tensor::of<float>({3, 2, 1}, {5, 7, 7, 7, 9, 9});
        found = nn::population_statistics(steps, std::vector<Tensor>{first, second});
        CHECK(distance(found.layers[0].mean, {4, 6, 0}) == 0);
        CHECK(distance(found.layers[0].variance, {5, 1, 0}) == 0);
        CHECK(distance(found.layers[0].count, {4, 4, 0}) == 0);
        found.apply(steps);
        CHECK(distance(steps.running_mean(), {4, 6, 6}) == 0);
        CHECK(distance(steps.running_variance(), {5, 1, 1}) == 0);
    }

    TEST_CASE("gathering leaves parameters, statistics, mode and switches bitwise as they were, and applying changes") {
        nn::Sequential net = make_net();
        Snapshot before(net);
        nn::PopulationStatistics found = nn::population_statistics(net, rows_in_batches());
        CHECK(before.is_current());
        CHECK(net.is_training());
        CHECK(net[1].is_training());
        auto& first = dynamic_cast<nn::BatchNorm1d&>(net[1]);
        CHECK(first.uses() == nn::Statistics::by_mode);
        CHECK_THROWS_AS(nn::population_statistics(net, std::vector<Tensor>{Tensor::full({1, 4}, 1)}), ShapeError);
        CHECK(before.is_current());
        CHECK(first.uses() == nn::Statistics::by_mode);
        CHECK(net[1].is_training());

        found.apply(net);
        CHECK(same_bits(first.running_mean(), found.layers[0].mean.as(Dtype::float32)));
        CHECK(same_bits(first.running_variance(), found.layers[0].variance.as(Dtype::float32)));
        CHECK(first.batches_seen() == static_cast<std::int64_t>(rows_in_batches().size()));
        net.evaluate();
        StandardErrorCapture capture;
        Tape tape;
        Tensor x = scattered({6, 4}, 8);
        std::vector<double> hidden = PlainBatchNorm(linear(x, net, 0), elements_of(found.layers[0].mean),
                                                    elements_of(found.layers[0].variance), {1, 1, 1}, {0, 0, 0}, 1e-5)
                                         .y;
        for (double& element : hidden) element = std::tanh(element);
        PlainBatchNorm expected(linear(Tensor::of<double>({6, 3}, hidden), net, 3, 4),
                                elements_of(found.layers[1].mean), elements_of(found.layers[1].variance), {1, 1},
                                {0, 0}, 0.1);
        CHECK(distance(net(tape.constant(x)).value(), expected.y) < 3e-6);
        CHECK(capture.text() == "");
    }

    TEST_CASE("a plain average goes on from as many batches as the statistics were gathered over") {
        nn::BatchNorm1d layer(2, {.momentum = std::nullopt});
        std::vector<Tensor> batches{scattered({8, 2}, 1), scattered({8, 2}, 2), scattered({8, 2}, 3)};
        nn::population_statistics(layer, batches).apply(layer);
        CHECK(layer.batches_seen() == 3);
        Tensor before = layer.running_mean(), next = scattered({8, 2}, 4);
        Tape tape;
        layer(tape.constant(next));
        commit(tape);
        CHECK(layer.batches_seen() == 4);
        PlainBatchNorm of_next = brute_force(next);
        for (std::int64_t c = 0; c < 2; ++c)
            CHECK(layer.running_mean().at(c) ==
                  doctest::Approx((3 * before.at(c) + of_next.mean[static_cast<std::size_t>(c)]) / 4).epsilon(1e-6));
    }

    TEST_CASE("dropout is off in the sweep, and a normaliser told to use the running statistics does so") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Dropout(0.5, random), nn::BatchNorm1d(4), nn::BatchNorm1d(4));
        auto& first = dynamic_cast<nn::BatchNorm1d&>(net[1]);
        first.set_running_statistics(Tensor::full({4}, 1), Tensor::full({4}, 4));
        first.use(nn::Statistics::population);
        Tensor x = scattered({30, 4}, 1);
        nn::PopulationStatistics found = nn::population_statistics(net, std::vector<Tensor>{x});
        PlainBatchNorm own = brute_force(x);
        CHECK(distance(found.layers[0].mean, own.mean) < 1e-14);
        for (std::size_t c = 0; c < 4; ++c) {
            CHECK(found.layers[1].mean.at(static_cast<std::int64_t>(c)) ==
                  doctest::Approx((own.mean[c] - 1) / std::sqrt(4 + 1e-5)));
            CHECK(found.layers[1].variance.at(static_cast<std::int64_t>(c)) ==
                  doctest::Approx(own.population_variance[c] / (4 + 1e-5)));
        }
        CHECK(first.uses() == nn::Statistics::population);
    }

    TEST_CASE("a normaliser at two places has one population of what passes it at both") {
        std::mt19937 random(1);
        nn::BatchNorm1d layer(3);
        Tensor x = scattered({10, 3}, 1);
        nn::PopulationSweep sweep(layer);
        sweep.add(x, [&](Var input) { return layer(layer(input)); });
        Tensor normalized = Tensor::of<double>({10, 3}, PlainBatchNorm(x, {1, 1, 1}, {0, 0, 0}, 1e-5).y);
        PlainBatchNorm expected = brute_force(joined({x, normalized}));
        nn::PopulationStatistics found = sweep.statistics();
        REQUIRE(found.layers.size() == 1);
        CHECK(found.layers[0].count.item() == 20);
        CHECK(distance(found.layers[0].mean, expected.mean) < 1e-13);
        CHECK(distance(found.layers[0].variance, expected.population_variance) < 1e-13);
    }

    TEST_CASE("in float32 the sweep takes modules that only compute in it") {
        nn::Sequential net = make_net();
        nn::PopulationStatistics exact = nn::population_statistics(net, rows_in_batches());
        nn::PopulationStatistics fast = nn::population_statistics(net, rows_in_batches(), {.dtype = Dtype::float32});
        for (std::size_t layer : {0, 1}) {
            CHECK(distance(fast.layers[layer].mean, elements_of(exact.layers[layer].mean)) < 1e-6);
            CHECK(distance(fast.layers[layer].variance, elements_of(exact.layers[layer].variance)) < 1e-6);
        }
        CHECK_THROWS_WITH_AS(nn::PopulationSweep(net, {.dtype = Dtype::int64}),
                             "population_statistics: needs float32 or float64 to compute in, got int64", ValueError);
    }

    TEST_CASE("population statistics refuse no batches, and what is not finite, and stay as they were") {
        nn::BatchNorm1d layer(2);
        CHECK_THROWS_WITH_AS(nn::population_statistics(layer, std::vector<Tensor>{}),
                             "population_statistics: needs at least one batch, got none", ValueError);
        nn::PopulationSweep sweep(layer);
        sweep.add(Tensor::of<float>({2, 2}, {1, 2, 3, 6}));
        CHECK_THROWS_WITH_AS(
            sweep.add(Tensor::of<float>({2, 2}, {1, 2, 3, NAN})),
            "population_statistics: what reaches the model in batch 2 must be finite, got mean nan and "
            "variance nan in channel 1",
            ValueError);
        CHECK_THROWS_AS(sweep.add(Tensor::full({0, 2}, 1)), ShapeError);
        CHECK(distance(sweep.statistics().layers[0].mean, {2, 4}) == 0);
        CHECK(distance(sweep.statistics().layers[0].variance, {1, 4}) == 0);
    }

    TEST_CASE("a model without normalisers has no population statistics, and applying none changes nothing") {
        std::mt19937 random(1);
        nn::Linear model(4, 2, random);
        Snapshot before(model);
        nn::PopulationStatistics none = nn::population_statistics(model, rows_in_batches());
        CHECK(none.layers.empty());
        none.apply(model);
        CHECK(before.is_current());
    }

    TEST_CASE("statistics are applied to all normalisers or to none") {
        nn::Sequential net = make_net();
        nn::PopulationStatistics found = nn::population_statistics(net, rows_in_batches());
        std::mt19937 random(1);
        nn::Sequential wider(nn::Linear(4, 3, random), nn::BatchNorm1d(3), nn::Tanh(), nn::Linear(3, 5, random),
                             nn::BatchNorm1d(5));
        nn::Sequential shorter(nn::Linear(4, 3, random), nn::BatchNorm1d(3));
        Snapshot wide(wider), brief(shorter);
        CHECK_THROWS_WITH_AS(found.apply(wider), "apply: 4 holds statistics [5], got [2]", ShapeError);
        CHECK_THROWS_WITH_AS(found.apply(shorter), "apply: the model has no normaliser 4", ValueError);
        CHECK(wide.is_current());
        CHECK(brief.is_current());
    }
}

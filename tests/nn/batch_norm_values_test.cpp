#include <cotape/nn/batch_norm.hpp>

#include <doctest/doctest.h>

#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>

#include "numbers.hpp"
#include "plain_batch_norm.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// A layer whose scale and shift differ from channel to channel.
nn::BatchNorm1d with_affine(std::int64_t channels, const std::vector<float>& scale, const std::vector<float>& shift,
                            const nn::BatchNormOptions& options = {}) {
    nn::BatchNorm1d layer(channels, options);
    layer.parameters()[0].state.assign(Tensor::of({channels}, scale));
    layer.parameters()[1].state.assign(Tensor::of({channels}, shift));
    return layer;
}

const std::vector<float> scale{1.5f, -0.5f, 2}, shift{0.25f, 1, -3};
const std::vector<double> scale64{1.5, -0.5, 2}, shift64{0.25, 1, -3};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("batch norm in training normalises with the batch's mean and population variance") {
        for (const Shape& shape : {Shape{5, 3}, Shape{4, 3, 6}, Shape{1, 3, 7}, Shape{2, 3, 1}}) {
            CAPTURE(to_string(shape));
            nn::BatchNorm1d layer = with_affine(3, scale, shift, {.epsilon = 0.01});
            Tensor x = scattered(shape);
            Tape tape;
            Var y = layer(tape.constant(x));
            CHECK(y.type() == x.type());
            CHECK(distance(y.value(), PlainBatchNorm(x, scale64, shift64, 0.01).y) < 2e-6);
        }
    }

    TEST_CASE("batch norm in evaluation normalises with the running statistics") {
        std::vector<double> mean{0.5, -1, 2}, variance{4, 0.25, 0};
        for (const Shape& shape : {Shape{5, 3}, Shape{4, 3, 6}, Shape{1, 3}, Shape{0, 3}}) {
            CAPTURE(to_string(shape));
            nn::BatchNorm1d layer = with_affine(3, scale, shift, {.epsilon = 0.01});
            layer.set_running_statistics(Tensor::of<float>({3}, {0.5, -1, 2}), Tensor::of<float>({3}, {4, 0.25, 0}));
            layer.evaluate();
            Tensor x = scattered(shape);
            Tape tape;
            CHECK(distance(layer(tape.constant(x)).value(),
                           PlainBatchNorm(x, mean, variance, scale64, shift64, 0.01).y) < 2e-5);
        }
    }

    TEST_CASE("a commit moves the running statistics by the momentum, the variance divided by n - 1") {
        for (const Shape& shape : {Shape{5, 3}, Shape{4, 3, 6}}) {
            CAPTURE(to_string(shape));
            nn::BatchNorm1d layer(3, {.momentum = 0.3});
            std::vector<double> mean(3, 0), variance(3, 1);
            for (int step = 0; step < 4; ++step) {
                Tensor x = scattered(shape, step);
                Tape tape;
                layer(tape.constant(x));
                commit(tape);
                PlainBatchNorm plain(x, scale64, shift64, 1e-5);
                for (std::size_t c = 0; c < 3; ++c) {
                    mean[c] = 0.7 * mean[c] + 0.3 * plain.mean[c];
                    variance[c] = 0.7 * variance[c] + 0.3 * plain.sample_variance[c];
                }
            }
            CHECK(distance(layer.running_mean(), mean) < 1e-6);
            CHECK(distance(layer.running_variance(), variance) < 1e-6);
            CHECK(layer.batches_seen() == 4);
        }
    }

    TEST_CASE("batch norm of the numbers b + i + 1: variance 2.5 normalises, 8/3 is tracked") {
        Tensor x = Tensor::make<float>({4, 3, 4}, [](std::span<float> elements) {
            for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(i / 12 + i % 4 + 1);
        });
        nn::BatchNorm1d layer(3);
        Tape tape;
        Tensor y = layer(tape.constant(x)).value();
        std::vector<double> row{y.at(0), y.at(1), y.at(2), y.at(3)};
        CHECK(distance(row, {-1.8974, -1.2649, -0.6325, 0}) < 5e-5);
        commit(tape);
        CHECK(distance(layer.running_mean(), {0.4, 0.4, 0.4}) < 1e-7);
        CHECK(distance(layer.running_variance(), {1.1666667, 1.1666667, 1.1666667}) < 1e-7);
    }

    TEST_CASE("with momentum 1 the running statistics are the last batch's") {
        Tensor x = Tensor::of<float>({3, 4}, {2, 15, 2, 1, 2, 17, 2, 1, -4, -2, -2, -1});
        nn::BatchNorm1d layer(4, {.momentum = 1});
        Tape tape;
        layer(tape.constant(x));
        commit(tape);
        CHECK(distance(layer.running_mean(), {0, 10, 2 / 3.0, 1 / 3.0}) < 1e-6);
        CHECK(distance(layer.running_variance(), {12, 109, 16 / 3.0, 4 / 3.0}) < 1e-5);
    }

    TEST_CASE("with momentum 0 the running statistics stay, and the batch is counted") {
        nn::BatchNorm1d layer(3, {.momentum = 0});
        Tape tape;
        layer(tape.constant(scattered({5, 3})));
        commit(tape);
        CHECK(distance(layer.running_mean(), {0, 0, 0}) == 0);
        CHECK(distance(layer.running_variance(), {1, 1, 1}) == 0);
        CHECK(layer.batches_seen() == 1);
    }

    TEST_CASE("without a momentum the running statistics are the plain average over all batches") {
        nn::BatchNorm1d layer(3, {.momentum = std::nullopt});
        std::vector<double> mean(3, 0), variance(3, 0);
        for (int step = 0; step < 5; ++step) {
            Tensor x = scattered({4, 3}, step);
            Tape tape;
            layer(tape.constant(x));
            commit(tape);
            PlainBatchNorm plain(x, scale64, shift64, 1e-5);
            for (std::size_t c = 0; c < 3; ++c)
                mean[c] += plain.mean[c] / 5, variance[c] += plain.sample_variance[c] / 5;
        }
        CHECK(distance(layer.running_mean(), mean) < 1e-6);
        CHECK(distance(layer.running_variance(), variance) < 1e-6);
        CHECK(layer.batches_seen() == 5);
    }

    TEST_CASE("a batch norm that is not affine has no parameters and only normalises") {
        nn::BatchNorm1d layer(3, {.affine = false});
        CHECK(layer.parameters().empty());
        CHECK(layer.statistics().size() == 3);
        Tensor x = scattered({5, 3});
        Tape tape;
        CHECK(distance(layer(tape.constant(x)).value(), PlainBatchNorm(x, {1, 1, 1}, {0, 0, 0}, 1e-5).y) < 2e-6);
    }

    TEST_CASE("batch norm starts with scale 1, shift 0, running mean 0 and running variance 1") {
        nn::BatchNorm1d layer(2);
        CHECK(distance(layer.parameters()[0].state.value(), {1, 1}) == 0);
        CHECK(distance(layer.parameters()[1].state.value(), {0, 0}) == 0);
        CHECK(distance(layer.running_mean(), {0, 0}) == 0);
        CHECK(distance(layer.running_variance(), {1, 1}) == 0);
        CHECK(layer.batches_seen() == 0);
        CHECK(layer.epsilon() == 1e-5);
        CHECK(layer.momentum() == 0.1);
    }

    TEST_CASE("a channel far from 0 with a tiny variance is normalised from its float32 elements") {
        // Spread by 1/16 around a million: E[x^2] - E[x]^2 has no correct digit here.
        Tensor x = Tensor::make<float>({64, 1}, [](std::span<float> elements) {
            for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = 1e6f + (i % 2 ? 0.0625f : -0.0625f);
        });
        nn::BatchNorm1d layer(1, {.epsilon = 1e-12});
        Tape tape;
        Tensor y = layer(tape.constant(x)).value();
        commit(tape);
        CHECK(distance(y, PlainBatchNorm(x, {1}, {0}, 1e-12).y) < 1e-6);
        CHECK(layer.running_variance().item() == doctest::Approx(0.9 + 0.1 * 64 / 63 / 256).epsilon(1e-7));
    }

    TEST_CASE("batch norm is unchanged by a shift and a positive scale of its input, as epsilon goes to 0") {
        nn::BatchNorm1d layer(3, {.epsilon = 1e-12});
        Tensor x = scattered({8, 3});
        Tape tape;
        Var input = tape.constant(x);
        CHECK(distance(layer(input * 4 + 2).value(), elements_of(layer(input).value())) < 2e-6);
    }
}

#include <cotape/nn/batch_norm.hpp>

#include <memory>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/ops/arithmetic.hpp>

#include "numbers.hpp"
#include "plain_batch_norm.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

const std::vector<double> scale{1.5, -0.5, 2}, shift{0.25, 1, -3};

/// Images and volumes of three feature maps.
const std::vector<Shape> feature_maps{{4, 3, 5, 2}, {1, 3, 3, 4}, {6, 3, 1, 1}, {2, 3, 2, 3, 4}, {1, 3, 1, 5, 1}};

std::unique_ptr<nn::BatchNorm> layer_for(const Shape& shape, const nn::BatchNormOptions& options = {}) {
    std::unique_ptr<nn::BatchNorm> layer;
    if (shape.size() == 4)
        layer = std::make_unique<nn::BatchNorm2d>(3, options);
    else
        layer = std::make_unique<nn::BatchNorm3d>(3, options);
    layer->parameters()[0].state.assign(Tensor::of<float>({3}, {1.5, -0.5, 2}));
    layer->parameters()[1].state.assign(Tensor::of<float>({3}, {0.25, 1, -3}));
    return layer;
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("batch norm of feature maps has one mean and one variance per map, in training and when tracked") {
        for (const Shape& shape : feature_maps) {
            CAPTURE(to_string(shape));
            auto layer = layer_for(shape, {.epsilon = 0.01, .momentum = 0.3});
            std::vector<double> mean(3, 0), variance(3, 1);
            for (int step = 0; step < 3; ++step) {
                Tensor x = scattered(shape, step);
                Tape tape;
                Var y = (*layer)(tape.constant(x));
                PlainBatchNorm plain(x, scale, shift, 0.01);
                CHECK(y.type() == x.type());
                CHECK(distance(y.value(), plain.y) < 2e-6);
                commit(tape);
                for (std::size_t c = 0; c < 3; ++c) {
                    mean[c] = 0.7 * mean[c] + 0.3 * plain.mean[c];
                    variance[c] = 0.7 * variance[c] + 0.3 * plain.sample_variance[c];
                }
                CHECK(distance(layer->running_mean(), mean) < 1e-6);
                CHECK(distance(layer->running_variance(), variance) < 1e-6);
            }
        }
    }

    TEST_CASE("batch norm of feature maps in evaluation uses the running statistics of each map") {
        for (const Shape& shape : feature_maps) {
            CAPTURE(to_string(shape));
            auto layer = layer_for(shape);
            layer->set_running_statistics(Tensor::of<float>({3}, {0.5, -1, 2}), Tensor::of<float>({3}, {4, 0.25, 0}));
            layer->evaluate();
            Tensor x = scattered(shape);
            Tape tape;
            // The variance of 0 leaves 1 / sqrt(1e-5) to multiply the rounding of float32.
            CHECK(distance((*layer)(tape.constant(x)).value(),
                           PlainBatchNorm(x, {0.5, -1, 2}, {4, 0.25, 0}, scale, shift, 1e-5).y) < 5e-4);
        }
    }

    TEST_CASE("the gradients of batch norm of feature maps satisfy its identities per map") {
        for (const Shape& shape : feature_maps) {
            CAPTURE(to_string(shape));
            auto layer = layer_for(shape, {.epsilon = 1e-10});
            Tape tape;
            Tensor input = scattered(shape), seed = scattered(shape, 1);
            Var x = tape.variable(input);
            std::vector<Var> slopes =
                gradients((*layer)(x), {x, tape.variable(layer->parameters()[0].state),
                                        tape.variable(layer->parameters()[1].state)}, tape.constant(seed));
            std::vector<double> normalized = PlainBatchNorm(input, {1, 1, 1}, {0, 0, 0}, 1e-10).y;
            std::vector<double> sums(3, 0), projections(3, 0), scale_slope(3, 0), shift_slope(3, 0);
            for (std::int64_t i = 0; i < input.size(); ++i) {
                auto c = static_cast<std::size_t>(PlainBatchNorm::channel_of(input, i));
                double xhat = normalized[static_cast<std::size_t>(i)];
                sums[c] += slopes[0].value().at(i);
                projections[c] += slopes[0].value().at(i) * xhat;
                scale_slope[c] += seed.at(i) * xhat;
                shift_slope[c] += seed.at(i);
            }
            CHECK(distance(sums, {0, 0, 0}) < 2e-5);
            CHECK(distance(projections, {0, 0, 0}) < 2e-5);
            CHECK(distance(slopes[1].value(), scale_slope) < 5e-6);
            CHECK(distance(slopes[2].value(), shift_slope) < 5e-6);
        }
    }

    TEST_CASE("batch norm of feature maps passes the gradient check to order 3") {
        for (const Shape& shape : {Shape{2, 3, 2, 2}, Shape{2, 3, 2, 1, 2}}) {
            auto layer = layer_for(shape);
            GradientCheckReport report =
                nn::check_gradients(*layer, scattered(shape), [](Var y) { return y * y * y; }, {.order = 3});
            INFO(to_string(report));
            CHECK(report);
        }
    }

    TEST_CASE("batch norm of feature maps takes one image of several pixels, and refuses one value per map") {
        auto forward = [](nn::BatchNorm&& layer, const Shape& shape) {
            Tape tape;
            return layer(tape.constant(scattered(shape))).value();
        };
        CHECK(all_finite(forward(nn::BatchNorm2d(3), {1, 3, 1, 2})));
        CHECK_THROWS_WITH_AS(
            forward(nn::BatchNorm2d(3), {1, 3, 1, 1}),
            "BatchNorm2d: expected more than 1 value per channel when training, got input size [1, 3, 1, 1]",
            ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::BatchNorm2d(3), {0, 3, 4, 4}),
                             "BatchNorm2d: needs at least one example, got [0, 3, 4, 4]", ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::BatchNorm2d(3), {4, 3, 5}),
                             "BatchNorm2d: needs rank 4 with 3 channels on axis 1, got [4, 3, 5]", ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::BatchNorm2d(3), {4, 2, 5, 5}),
                             "BatchNorm2d: needs rank 4 with 3 channels on axis 1, got [4, 2, 5, 5]", ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::BatchNorm3d(3), {4, 3, 5, 5}),
                             "BatchNorm3d: needs rank 5 with 3 channels on axis 1, got [4, 3, 5, 5]", ShapeError);
    }

    TEST_CASE("a feature map that is constant over batch and pixels comes out as exactly its shift") {
        nn::BatchNorm2d layer(2);
        layer.parameters()[1].state.assign(Tensor::of<float>({2}, {0.75, -2}));
        Tape tape;
        Var x = tape.variable(Tensor::full({3, 2, 2, 2}, 0.3));
        Var y = layer(x);
        for (std::int64_t i = 0; i < y.value().size(); ++i) CHECK(y.value().at(i) == (i / 4 % 2 ? -2 : 0.75));
        CHECK(all_finite(gradient(y, x, tape.constant(scattered({3, 2, 2, 2}))).value()));
    }
}

#include <cotape/nn/group_norm.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/ops/arithmetic.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// Group normalisation in plain loops over doubles.
std::vector<double> plain_group_norm(const Tensor& x, std::int64_t groups, const std::vector<double>& scale,
                                     const std::vector<double>& shift, double epsilon) {
    std::int64_t channels = x.shape()[1], map = x.size() / (x.shape()[0] * channels);
    std::int64_t count = channels / groups * map;
    std::vector<double> y;
    for (std::int64_t first = 0; first < x.size(); first += count) {
        double mean = 0, variance = 0, n = static_cast<double>(count);
        for (std::int64_t i = first; i < first + count; ++i) mean += x.at(i) / n;
        for (std::int64_t i = first; i < first + count; ++i) variance += (x.at(i) - mean) * (x.at(i) - mean) / n;
        for (std::int64_t i = first; i < first + count; ++i) {
            auto channel = static_cast<std::size_t>(i / map % channels);
            y.push_back(scale[channel] * (x.at(i) - mean) / std::sqrt(variance + epsilon) + shift[channel]);
        }
    }
    return y;
}

Tensor forward(nn::Module&& layer, const Shape& shape) {
    Tape tape;
    return layer(tape.constant(scattered(shape))).value();
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("group norm normalises every group of every example by itself, in both modes") {
        for (const Shape& shape : {Shape{3, 4}, Shape{2, 4, 5}, Shape{3, 4, 2, 3}, Shape{1, 4, 2, 1, 3}})
            for (std::int64_t groups : {1, 2}) {
                CAPTURE(to_string(shape));
                nn::GroupNorm layer(groups, 4, {.epsilon = 0.01});
                layer.parameters()[0].state.assign(Tensor::of<float>({4}, {1.5, -0.5, 2, 1}));
                layer.parameters()[1].state.assign(Tensor::of<float>({4}, {0.25, 1, -3, 0}));
                for (bool training : {true, false}) {
                    layer.set_training(training);
                    Tensor x = scattered(shape);
                    Tape tape;
                    CHECK(distance(layer(tape.constant(x)).value(),
                                   plain_group_norm(x, groups, {1.5, -0.5, 2, 1}, {0.25, 1, -3, 0}, 0.01)) < 2e-6);
                }
            }
    }

    TEST_CASE("instance norm normalises every feature map of every example, without parameters unless told") {
        Tensor lengths = scattered({2, 3, 5}), images = scattered({2, 3, 4, 2}), volumes = scattered({2, 3, 2, 2, 2});
        auto check = [](nn::GroupNorm&& layer, const Tensor& x) {
            CHECK(layer.parameters().empty());
            Tape tape;
            CHECK(distance(layer(tape.constant(x)).value(), plain_group_norm(x, 3, {1, 1, 1}, {0, 0, 0}, 1e-5)) < 2e-6);
        };
        check(nn::InstanceNorm1d(3), lengths);
        check(nn::InstanceNorm2d(3), images);
        check(nn::InstanceNorm3d(3), volumes);
        CHECK(nn::InstanceNorm2d(3, {.affine = true}).parameters().size() == 2);
    }

    TEST_CASE("group norm and instance norm pass the gradient check to order 3") {
        nn::GroupNorm group(2, 4);
        nn::InstanceNorm2d instance(2, {.affine = true});
        auto cubed = [](Var y) { return y * y * y; };
        CHECK(nn::check_gradients(group, scattered({2, 4, 2}), cubed, {.order = 3}));
        CHECK(nn::check_gradients(instance, scattered({2, 2, 2, 2}), cubed, {.order = 3}));
    }

    TEST_CASE("group norm takes an empty batch, and refuses groups of one value and inputs that do not fit") {
        CHECK(forward(nn::GroupNorm(2, 4), {0, 4, 3}).size() == 0);
        CHECK_THROWS_WITH_AS(forward(nn::GroupNorm(4, 4), {3, 4}),
                             "GroupNorm: needs more than 1 value in a group, got input size [3, 4]", ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::InstanceNorm2d(2), {3, 2, 1, 1}),
                             "InstanceNorm2d: needs more than 1 value in a group, got input size [3, 2, 1, 1]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::GroupNorm(2, 4), {3, 5, 2}),
                             "GroupNorm: needs rank at least 2 with 4 channels on axis 1, got [3, 5, 2]", ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::InstanceNorm1d(4), {3, 4}),
                             "InstanceNorm1d: needs rank 3 with 4 channels on axis 1, got [3, 4]", ShapeError);
        CHECK_THROWS_WITH_AS(nn::GroupNorm(3, 4), "GroupNorm: 4 channels do not fall into 3 groups", ValueError);
        CHECK_THROWS_WITH_AS(nn::GroupNorm(0, 4), "GroupNorm: 4 channels do not fall into 0 groups", ValueError);
        CHECK_THROWS_WITH_AS(nn::InstanceNorm2d(0), "InstanceNorm2d: needs at least one channel, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::GroupNorm(2, 4, {.epsilon = NAN}), "GroupNorm: epsilon must not be negative, got nan",
                             ValueError);
    }

    TEST_CASE("group norm and instance norm describe themselves") {
        CHECK(nn::GroupNorm(2, 6).describe() == "GroupNorm(2 groups of 3 channels, epsilon 1e-05)");
        CHECK(nn::InstanceNorm2d(6).describe() == "InstanceNorm2d(6 channels, epsilon 1e-05, not affine)");
    }
}

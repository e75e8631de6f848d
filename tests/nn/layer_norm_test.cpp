#include <cotape/nn/layer_norm.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

TEST_SUITE("nn") {
    TEST_CASE("layer norm normalises each example over its last axes") {
        std::vector<double> scale{1, 2, 3, 4, 5, 6}, shift{-1, 0, 1, 2, 3, 4};
        auto plain = [&](const Tensor& x, std::int64_t length) {
            std::vector<double> y;
            for (std::int64_t begin = 0; begin < x.size(); begin += length) {
                double mean = 0, variance = 0;
                for (std::int64_t i = 0; i < length; ++i) mean += x.at(begin + i) / static_cast<double>(length);
                for (std::int64_t i = 0; i < length; ++i)
                    variance += (x.at(begin + i) - mean) * (x.at(begin + i) - mean) / static_cast<double>(length);
                for (std::int64_t i = 0; i < length; ++i) {
                    auto at = static_cast<std::size_t>(i);
                    y.push_back(scale[at] * (x.at(begin + i) - mean) / std::sqrt(variance + 0.01) + shift[at]);
                }
            }
            return y;
        };
        for (const Shape& shape : {Shape{6}, Shape{2, 3}}) {
            CAPTURE(to_string(shape));
            nn::LayerNorm layer(shape, {.epsilon = 0.01});
            layer.parameters()[0].state.assign(Tensor::of<float>({6}, {1, 2, 3, 4, 5, 6}).reshaped(shape));
            layer.parameters()[1].state.assign(Tensor::of<float>({6}, {-1, 0, 1, 2, 3, 4}).reshaped(shape));
            Tensor x = scattered({4, 2, 3}).reshaped(shape.size() == 1 ? Shape{4, 6} : Shape{4, 2, 3});
            Tape tape;
            Tensor trained = layer(tape.constant(x)).value();
            CHECK(distance(trained, plain(x, 6)) < 5e-6);
            layer.evaluate();
            CHECK(same_bits(layer(tape.constant(x)).value(), trained));
        }
    }

    TEST_CASE("a layer norm that is not affine has no parameters") {
        nn::LayerNorm layer({2}, {.epsilon = 0, .affine = false});
        CHECK(layer.parameters().empty());
        Tape tape;
        CHECK(distance(layer(tape.constant(Tensor::of<float>({1, 2}, {3, 7}))).value(), {-1, 1}) < 1e-6);
    }

    TEST_CASE("the second derivative of layer norm is right by nested jvp and by reverse over reverse") {
        // The case of pytorch#196700.
        nn::LayerNorm layer({2}, {.epsilon = 0.25});
        Tape tape;
        tape.bind(layer.parameters()[0].state, tape.constant(Tensor::of<double>({2}, {1, 2})));
        tape.bind(layer.parameters()[1].state, tape.constant(Tensor::of<double>({2}, {0, 0})));
        Var t = tape.variable(Tensor(0.7)), one = tape.constant(Tensor(1.0));
        Var f = sum(layer(t * tape.constant(Tensor::of<double>({1, 2}, {1, 0}))));
        CHECK(jvp(jvp(f, t, one), t, one).item() == doctest::Approx(0.7749142079590942).epsilon(1e-12));
        CHECK(gradient(gradient(f, t), t).item() == doctest::Approx(0.7749142079590942).epsilon(1e-12));
    }

    TEST_CASE("the gradients of layer norm are right to order 3") {
        nn::LayerNorm layer({3}, {.epsilon = 0.1});
        GradientCheckReport report =
            nn::check_gradients(layer, scattered({4, 3}), [](Var y) { return square(y) * y; }, {.order = 3});
        INFO(to_string(report));
        CHECK(report);
    }

    TEST_CASE("layer norm refuses other extents, and to normalise over nothing") {
        nn::LayerNorm layer({2, 3});
        Tape tape;
        CHECK_THROWS_WITH_AS(layer(tape.constant(Tensor::full({2, 4}, 0))),
                             "LayerNorm: the last axes must be [2, 3], got [2, 4]", ShapeError);
        CHECK_THROWS_WITH_AS(layer(tape.constant(Tensor::full({3}, 0))),
                             "LayerNorm: the last axes must be [2, 3], got [3]", ShapeError);
        CHECK_THROWS_WITH_AS(nn::LayerNorm({}), "LayerNorm: needs at least one axis of positive extent, got []",
                             ShapeError);
        CHECK_THROWS_WITH_AS(nn::LayerNorm({2, 0}), "LayerNorm: needs at least one axis of positive extent, got [2, 0]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(nn::LayerNorm({2}, {.epsilon = -1}), "LayerNorm: epsilon must not be negative, got -1",
                             ValueError);
        CHECK(layer.describe() == "LayerNorm([2, 3], epsilon 1e-05)");
        CHECK(nn::LayerNorm({2}, {.affine = false}).describe() == "LayerNorm([2], epsilon 1e-05, not affine)");
    }
}

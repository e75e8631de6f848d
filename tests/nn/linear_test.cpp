#include <cotape/nn/linear.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/ops/arithmetic.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// x W' + b over the last axis, in plain loops.
std::vector<double> plain_linear(const Tensor& x, const Tensor& weight, const Tensor* bias) {
    std::int64_t inputs = weight.shape()[1], outputs = weight.shape()[0];
    std::vector<double> y;
    for (std::int64_t row = 0; row < x.size() / inputs; ++row)
        for (std::int64_t output = 0; output < outputs; ++output) {
            double sum = bias ? bias->at(output) : 0;
            for (std::int64_t i = 0; i < inputs; ++i) sum += x.at(row * inputs + i) * weight.at(output * inputs + i);
            y.push_back(sum);
        }
    return y;
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a linear layer computes x W' + b over the last axis") {
        std::mt19937 random(1);
        nn::Linear layer(5, 3, random), without_bias(5, 3, {.bias = false}, random);
        CHECK(without_bias.parameters().size() == 1);
        for (const Shape& shape : {Shape{4, 5}, Shape{1, 5}, Shape{2, 3, 5}}) {
            CAPTURE(to_string(shape));
            Tensor x = scattered(shape);
            Tape tape;
            Tensor y = layer(tape.constant(x)).value();
            CHECK(y.shape().back() == 3);
            CHECK(y.shape().size() == shape.size());
            CHECK(distance(y, plain_linear(x, layer.weight().value(), &layer.bias()->value())) < 1e-6);
            CHECK(distance(without_bias(tape.constant(x)).value(),
                           plain_linear(x, without_bias.weight().value(), nullptr)) < 1e-6);
        }
    }

    TEST_CASE("weight and bias start uniform within 1 / sqrt(inputs), as the seed says") {
        std::mt19937 random(7), again(7);
        nn::Linear layer(100, 200, random), same(100, 200, again), next(100, 200, random);
        CHECK(layer.weight().type().shape == Shape{200, 100});
        double largest = 0, squares = 0;
        for (double element : elements_of(layer.weight().value())) {
            largest = std::max(largest, std::abs(element));
            squares += element * element;
        }
        CHECK(largest <= 0.1f);
        CHECK(largest > 0.0999);
        // The variance of the uniform distribution, 0.01 / 3, which 20,000 draws meet to about 1 %.
        CHECK(squares / 20000 == doctest::Approx(0.01 / 3).epsilon(0.03));
        for (double element : elements_of(layer.bias()->value())) CHECK(std::abs(element) <= 0.1f);
        CHECK(same_bits(layer.weight().value(), same.weight().value()));
        CHECK(same_bits(layer.bias()->value(), same.bias()->value()));
        CHECK_FALSE(same_bits(layer.weight().value(), next.weight().value()));
    }

    TEST_CASE("a linear layer refuses another number of inputs, and to have none") {
        std::mt19937 random(1);
        nn::Linear layer(5, 3, random);
        Tape tape;
        CHECK_THROWS_WITH_AS(layer(tape.constant(Tensor::full({4, 6}, 0))), "Linear: needs [..., 5], got [4, 6]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(layer(tape.constant(Tensor(0.0f))), "Linear: needs [..., 5], got []", ShapeError);
        CHECK_THROWS_WITH_AS(nn::Linear(0, 3, random), "Linear: needs at least one input and one output, got 0 and 3",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::Linear(2, -1, random), "Linear: needs at least one input and one output, got 2 and -1",
                             ValueError);
    }

    TEST_CASE("a single row without a batch axis is refused by the product") {
        std::mt19937 random(1);
        nn::Linear layer(5, 3, random);
        Tape tape;
        CHECK_THROWS_AS(layer(tape.constant(Tensor::full({5}, 0))), ShapeError);
    }

    TEST_CASE("a linear layer says what it is") {
        std::mt19937 random(1);
        CHECK(nn::Linear(784, 256, random).describe() == "Linear(784 -> 256)");
        CHECK(nn::Linear(784, 256, {.bias = false}, random).describe() == "Linear(784 -> 256, no bias)");
    }

    TEST_CASE("the gradients of a linear layer are right to order 2") {
        std::mt19937 random(1);
        nn::Linear layer(3, 2, random);
        CHECK(nn::check_gradients(layer, scattered({4, 3}), [](Var y) { return square(y) * y; }, {.order = 2}));
    }
}

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/nn/sgd.hpp>

#include "numbers.hpp"
#include "quadratic.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// The parameters after one step of rate 1, less those before: the clipped gradients, negated. They were 2, -0.6, 1.5.
std::vector<double> step_with(const nn::StepOptions& options) {
    Quadratic model;
    nn::Sgd optimizer(model, {.learning_rate = 1});
    Tape tape;
    optimizer.step(model.loss(tape), options);
    std::vector<double> change = elements_of(model.value());
    for (std::size_t i = 0; i < 3; ++i) change[i] = Quadratic::start[i] - change[i];
    return change;
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("clipping by norm scales all gradients together where their norm is larger") {
        Tape tape;
        std::vector<Var> gradients{tape.constant(Tensor::of<double>({2}, {3, 0})),
                                   tape.constant(Tensor::of<double>({1, 1}, {4}))};
        std::vector<Var> clipped = nn::clip_by_norm(gradients, 1);
        CHECK(distance(clipped[0].value(), {0.6, 0}) < 1e-15);
        CHECK(distance(clipped[1].value(), {0.8}) < 1e-15);
        CHECK(clipped[1].shape() == Shape{1, 1});
        std::vector<Var> kept = nn::clip_by_norm(gradients, 5);
        CHECK(distance(kept[0].value(), {3, 0}) == 0);
        CHECK(distance(kept[1].value(), {4}) == 0);
        CHECK(nn::clip_by_norm({}, 1).empty());
        std::vector<Var> zeros = nn::clip_by_norm({tape.constant(Tensor::of<double>({2}, {0, 0}))}, 1);
        CHECK(distance(zeros[0].value(), {0, 0}) == 0);
    }

    TEST_CASE("clipping by norm takes gradients whose squares are beyond the element type, or below it") {
        Tape tape;
        auto clipped = [&](const std::vector<float>& gradient, double limit) {
            return nn::clip_by_norm({tape.constant(Tensor::of({2}, gradient))}, limit)[0].value();
        };
        double few_ulp = 3e-7;
        CHECK(distance(clipped({3e30f, -4e30f}, 1), {0.6, -0.8}) < few_ulp);
        CHECK(distance(clipped({1e30f, 3e38f}, 1), {1e30 / 3e38, 1}) < few_ulp);
        CHECK(distance(clipped({3e38f, 3e38f}, 2), {std::sqrt(2), std::sqrt(2)}) < few_ulp);
        CHECK(distance(clipped({3e-30f, 4e-30f}, 1e-30), {6e-31, 8e-31}) < few_ulp * 1e-30);
        CHECK(same_bits(clipped({3e30f, 4e30f}, 6e30), Tensor::of<float>({2}, {3e30f, 4e30f})));
    }

    TEST_CASE("clipping by norm leaves no finite gradient beside one that is not: min(1, limit / norm) is NaN") {
        Tape tape;
        for (double broken : std::vector<double>{NAN, HUGE_VAL}) {
            std::vector<Var> gradients{tape.constant(Tensor::of<double>({2}, {broken, 1})),
                                       tape.constant(Tensor(2.0))};
            for (Var gradient : nn::clip_by_norm(gradients, 1))
                for (std::int64_t i = 0; i < gradient.value().size(); ++i) CHECK(std::isnan(gradient.value().at(i)));
        }
        std::vector<Var> with_nothing{tape.constant(Tensor::full({0}, 0)), tape.constant(Tensor::full({1}, 2))};
        CHECK(distance(nn::clip_by_norm(with_nothing, 1)[1].value(), {1}) == 0);
        CHECK(distance(nn::clip_by_norm({with_nothing[0]}, 1)[0].value(), {}) == 0);
    }

    TEST_CASE("clipping by value keeps every element between the limits") {
        Tape tape;
        std::vector<Var> clipped = nn::clip_by_value({tape.constant(Tensor::of<double>({3}, {3, -0.5, -7}))}, 2);
        CHECK(distance(clipped[0].value(), {2, -0.5, -2}) == 0);
    }

    TEST_CASE("a step clips by value first, then by norm") {
        CHECK(distance(step_with({}), {2, -0.6, 1.5}) < 1e-15);
        CHECK(distance(step_with({.clip_value = 1}), {1, -0.6, 1}) < 1e-15);
        double norm = std::sqrt(4 + 0.36 + 2.25);
        CHECK(distance(step_with({.clip_norm = 1}), {2 / norm, -0.6 / norm, 1.5 / norm}) < 1e-15);
        norm = std::sqrt(1 + 0.36 + 1);
        CHECK(distance(step_with({.clip_norm = 1, .clip_value = 1}), {1 / norm, -0.6 / norm, 1 / norm}) < 1e-15);
    }

    TEST_CASE("clipping refuses limits that are not positive, and the step then changes nothing") {
        Tape tape;
        std::vector<Var> gradients{tape.constant(Tensor(1.0))};
        CHECK_THROWS_WITH_AS(nn::clip_by_norm(gradients, 0), "clip_by_norm: the limit must be positive, got 0",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::clip_by_norm(gradients, NAN), "clip_by_norm: the limit must be positive, got nan",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::clip_by_value(gradients, -1), "clip_by_value: the limit must be positive, got -1",
                             ValueError);
        Quadratic model;
        nn::Sgd optimizer(model);
        Var loss = model.loss(tape);
        std::size_t size = tape.size();
        CHECK_THROWS_AS(optimizer.step(loss, {.clip_norm = -1}), ValueError);
        CHECK(optimizer.steps() == 0);
        CHECK(tape.size() == size);
        CHECK(model.parameters()[0].state.version() == 0);
    }
}

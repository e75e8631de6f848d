#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <omp.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/graph_printing.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "../nn/numbers.hpp"

// Ops defined outside the library, in the form that the documentation shows.

using namespace cotape;
using cotape::testing::elements_of;

namespace {

const Op hypotenuse_op = elementwise(
    "hypotenuse", [](auto a, auto b) { return std::sqrt(a * a + b * b); },
    [](Var y, Var g, Var a, Var) { return g * a / y; },
    [](Var y, Var g, Var, Var b) { return g * b / y; });

Var hypotenuse(Operand a, Operand b) { return record(hypotenuse_op, {a, b}); }

Var rotate(Operand x, std::int64_t places);

const Op rotate_op{
    .name = "rotate",
    .type =
        [](const Call& call) {
            if (call.shape(0).size() != 1)
                throw ShapeError(fmt::format("{}: needs one axis, got {}", call.name(), to_string(call.shape(0))));
            return call.type(0);
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            std::span<const double> from = inputs[0].elements<double>();
            std::ranges::rotate_copy(from, from.begin() + call.attributes.integer("places"),
                                     result.elements<double>().begin());
            return std::move(result).freeze();
        },
    .derivative =
        [](const Rule& rule) {
            return rotate(rule.g, rule.x[0].shape()[0] - rule.attributes.integer("places"));
        },
};

Var rotate(Operand x, std::int64_t places) { return record(rotate_op, {x}, {{"places", places}}); }

} // namespace

TEST_SUITE("core") {
    TEST_CASE("an elementwise op from outside broadcasts, in both floating types, and differentiates to any order") {
        Tape tape;
        Var a = tape.variable(Tensor::of<double>({2, 1}, {3, 5})), b = tape.variable(Tensor::of<double>({2}, {4, 12}));
        Var y = hypotenuse(a, b);
        CHECK(y.shape() == Shape{2, 2});
        CHECK(y.value().at(0) == 5);
        CHECK(y.value().at(3) == 13);
        CHECK(hypotenuse(tape.variable(Tensor(3.0f)), 4).dtype() == Dtype::float32);
        Var ga = gradient(sum(y), a);
        CHECK(ga.shape() == a.shape());
        CHECK(ga.value().at(1) == doctest::Approx(5 / std::sqrt(41.0) + 5 / 13.0).epsilon(1e-15));
        // d^2 h / da^2 = b^2 / h^3
        CHECK(gradient(sum(ga), a).value().at(0) ==
              doctest::Approx(16 / 125.0 + 144 / std::pow(153, 1.5)).epsilon(1e-14));
    }

    TEST_CASE("an op from outside with attributes, a shape rule and a kernel of its own") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({3}, {1, 2, 4})),
            w = tape.constant(Tensor::of<double>({3}, {1, 10, 100}));
        Var y = rotate(x, 1);
        CHECK(y.value().at(0) == 2);
        CHECK(y.value().at(2) == 1);
        CHECK(is_same(y, rotate(x, 1)));
        CHECK_FALSE(is_same(y, rotate(x, 2)));
        Var g = gradient(sum(exp(y) * w), x);
        CHECK(g.value().at(0) == 100 * std::exp(1.0));
        CHECK(jvp(y, x, w).value().at(0) == 10);
        CHECK_THROWS_WITH_AS(rotate(tape.full({2, 2}, 1, Dtype::float64), 1), "rotate: needs one axis, got [2, 2]",
                             ShapeError);
    }

    TEST_CASE("an op from outside that fills memory it is given, alone and as a part of others") {
        const Op reverse_op{
            .name = "reverse",
            .type = [](const Call& call) { return call.type(0); },
            .fill =
                [](const Call&, std::span<const Tensor> inputs, MutableTensor& output) {
                    std::ranges::reverse_copy(inputs[0].elements<double>(), output.elements<double>().begin());
                },
            .derivative = [](const Rule& rule) { return record(*rule.y.node().op, {rule.g}); },
        };
        for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused}) {
            Tape tape({.evaluator = evaluator});
            Var x = tape.variable(Tensor::of<double>({3}, {1, 2, 3})), y = record(reverse_op, {x * x});
            CHECK(elements_of(concatenate({y, 2 * record(reverse_op, {x + 1}), x}, 0).value()) ==
                  std::vector<double>{9, 4, 1, 8, 6, 4, 1, 2, 3});
            CHECK(elements_of(gradient(sum(y * x), x).value()) == std::vector<double>{9 + 2 * 3, 4 + 8, 1 + 2 * 3});
        }
    }

    TEST_CASE("what a function of one element throws arrives, from any number of elements and threads") {
        const Op bounded_op = elementwise(
            "bounded", [](auto x) { return x > 2 ? throw std::domain_error("too large") : x; },
            [](Var, Var g, Var) { return g; });
        for (TapeOptions options : {TapeOptions{.evaluator = Evaluator::plain}, {.evaluator = Evaluator::fused},
                                    {.check_finite = true}})
            for (std::int64_t count : {1, 5000, 300000})
                for (int threads : {1, 2}) {
                    omp_set_num_threads(threads);
                    Tape tape(options);
                    Var x = tape.variable(Tensor::full({count}, 3)), y = record(bounded_op, {x});
                    CHECK_THROWS_WITH_AS(y.value(), "too large", std::domain_error);
                    CHECK_THROWS_WITH_AS((y * 2 + 1).value(), "too large", std::domain_error);
                    CHECK(record(bounded_op, {x - 1}).value().at(0) == 2);
                }
        omp_set_num_threads(omp_get_num_procs());
    }

    TEST_CASE("an op that does not fill the memory it is given, or that could be computed in two ways, is refused") {
        Op op{.name = "stray",
              .type = [](const Call& call) { return call.type(0); },
              .fill = [](const Call&, std::span<const Tensor> inputs,
                         MutableTensor& output) { output = MutableTensor(inputs[0].type()); }};
        for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused}) {
            Tape tape({.evaluator = evaluator});
            Var x = tape.variable(Tensor::of<double>({2}, {1, 2})), y = square(concatenate({record(op, {x + 1}), x}, 0));
            CHECK_THROWS_WITH_AS(y.value(), "stray: its fill must write to the memory that it is given", ValueError);
        }
        op.kernel = [](const Call&, const Type&, std::span<const Tensor> inputs) { return inputs[0]; };
        Tape tape;
        CHECK_THROWS_WITH_AS(record(op, {tape.variable(Tensor(1.0))}), "stray: the op has both a kernel and a fill",
                             ValueError);
    }

    TEST_CASE("an op from outside carries the user's line and prints like any other") {
        Tape tape;
        Var x = tape.variable(Tensor::full({3}, 1, Dtype::float64)); unsigned at_x = __LINE__;
        Var y = rotate(x, 2);
        CHECK(to_text({y}) == fmt::format("%0 = variable() : float64 [3] at user_op_test.cpp:{}\n"
                                          "%1 = rotate(%0, places=2) : float64 [3] at user_op_test.cpp:{}\n",
                                          at_x, at_x + 1));
    }
}

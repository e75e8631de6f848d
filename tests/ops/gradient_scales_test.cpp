#include <cmath>
#include <random>

#include <doctest/doctest.h>

#include <cotape/core/draws.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/gradient_check.hpp>
#include <cotape/ops/losses.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/softmax.hpp>

using namespace cotape;

namespace {

using Vars = std::vector<Var>;

/// x * x, whose rule forgets the factor 2.
const Op half_square_op = elementwise(
    "half_square", [](auto x) { return x * x; }, [](Var, Var g, Var x) { return g * x; });

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("a wrong rule fails at the smallest and the largest scales as well") {
        for (double scale : {1e-120, 1e-3, 1e3, 1e120}) {
            GradientCheckReport report = check_gradients([](const Vars& x) { return record(half_square_op, {x[0]}); },
                                                         {Tensor::of<double>({2}, {scale, -scale})}, {.order = 2});
            CHECK(report.verdict == Verdict::fail);
        }
    }

    TEST_CASE("elements of very different scales in one input raise no false alarm, and hide no wrong rule") {
        Tensor mixed = Tensor::of<double>({4}, {1e-5, 1, 3e7, 0.02});
        auto sharp = [](const Vars& x) { return tanh(1e10 * x[0]); };
        for (int order = 1; order <= 4; ++order) {
            CAPTURE(order);
            CHECK(check_gradients([](const Vars& x) { return pow(x[0], -3); }, {Tensor::of<double>({2}, {1e-5, 1})},
                                  {.order = order}).verdict != Verdict::fail);
            for (auto function : {CheckedFunction(sharp), CheckedFunction([](const Vars& x) { return 1 / x[0]; }),
                                  CheckedFunction([](const Vars& x) { return log(x[0]); })})
                CHECK(check_gradients(function, {mixed}, {.order = order}).verdict != Verdict::fail);
            CHECK(check_gradients([](const Vars& x) { return record(half_square_op, {x[0]}); }, {mixed},
                                  {.order = order}).verdict == Verdict::fail);
        }
        // 0 does not say how far to move: the steepness of the gradient does.
        CHECK(check_gradients(sharp, {Tensor::of<double>({2}, {0, 1})}).verdict != Verdict::fail);
    }

    TEST_CASE("a rule that is wrong at an element much smaller than its neighbours does not pass") {
        // Steps of the neighbours' size refute it; what steps of its own size change is lost in the output's rounding.
        Op square = elementwise(
            "square", [](auto x) { return x * x; },
            [](Var, Var g, Var x) { return g * 2 * x * where(less(x, 1e-3), 1.5, 1.0); });
        Op cube = elementwise(
            "cube", [](auto x) { return x * x * x; },
            [](Var, Var g, Var x) { return g * 3 * x * x * where(less(x, 1e-2), 1.5, 1.0); });
        std::vector<double> many(100, 1.0);
        many[70] = 1e-3;
        for (bool full : {false, true}) {
            GradientCheckOptions options{.order = 2, .full_jacobian = full};
            CHECK(check_gradients(square, {Tensor::of<double>({2}, {1e-8, 1})}, {}, options).verdict != Verdict::pass);
            CHECK(check_gradients(cube, {Tensor::of<double>({2}, {1e-4, 1})}, {}, options).verdict != Verdict::pass);
            CHECK(check_gradients(square, {Tensor::of<double>({3}, {1, -1e-5, 3})}, {}, options).verdict !=
                  Verdict::pass);
        }
        CHECK(check_gradients(cube, {Tensor::of<double>({100}, many)}).verdict == Verdict::fail);
        GradientCheckReport report = check_gradients(square, {Tensor::of<double>({2}, {1, 1e-8})});
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.obstacle == Obstacle::rounding);
        CHECK(report.reason == "order 1, input 0, element 1: the derivative is wrong by steps of the largest element's "
                               "size, and rounding hides what steps of its own size change");
        // The same rules where they are right, and functions that vary at the small element's own scale.
        CHECK(check_gradients(square, {Tensor::of<double>({2}, {2e-3, 1})}).verdict == Verdict::pass);
        for (double weight : {1.0, 1e-6, 1e-12})
            CHECK(check_gradients([=](const Vars& x) { return x[0] * x[0] + weight * sqrt(x[0] * x[0] + 1e-16); },
                                  {Tensor::of<double>({2}, {1e-8, 1})}).verdict != Verdict::fail);
    }

    TEST_CASE("a steep element does not hide what is wrong at another") {
        Op rule = elementwise(
            "inverse_root", [](auto x) { return 1 / std::sqrt(x); },
            [](Var y, Var g, Var x) { return where(greater(x, 0.01), 0.5, -0.5) * g * y / x; });
        for (std::uint64_t seed = 1; seed <= 20; ++seed)
            for (double steep : {1e-7, 1e-6, 1e-4})
                for (bool first : {true, false}) {
                    std::vector<double> x{first ? steep : 1, first ? 1 : steep};
                    CHECK(check_gradients(rule, {Tensor::of<double>({2}, x)}, {}, {.seed = seed}).verdict !=
                          Verdict::pass);
                }
    }

    TEST_CASE("near a pole right rules are never refuted") {
        for (std::uint64_t seed = 1; seed <= 20; ++seed)
            for (int order = 1; order <= 3; ++order) {
                auto verdict = [&](const CheckedFunction& function, double near) {
                    return check_gradients(function, {Tensor::of<double>({2}, {near, 2})},
                                           {.order = order, .seed = seed}).verdict;
                };
                CHECK(verdict([](const Vars& x) { return x[0] / (x[0] * x[0] - 2); }, 1.414213) != Verdict::fail);
                CHECK(verdict([](const Vars& x) { return 1 / (x[0] - 1); }, 1.000001) != Verdict::fail);
                CHECK(verdict([](const Vars& x) { return pow(x[0] - 1, -2); }, 1.00001) != Verdict::fail);
            }
    }

    TEST_CASE("rounding that values hide is no wrong derivative") {
        // The loss is log(1 + e^-58), which is 0 beside 58: its derivative of e^-58 moves nothing.
        Tensor labels = Tensor::of<std::int64_t>({1}, {0});
        auto loss = [&](const Vars& x) { return cross_entropy(x[0], labels); };
        for (int order = 1; order <= 4; ++order) {
            CHECK(check_gradients(loss, {Tensor::of<double>({1, 3}, {58, 2e-6, 6e-4})}, {.order = order}).verdict ==
                  Verdict::inconclusive);
            CHECK(check_gradients([](const Vars& x) { return gelu(x[0]); }, {Tensor::of<double>({1}, {-25.25})},
                                  {.order = order}).verdict == Verdict::inconclusive);
        }
        // 1 - y * y for a y next to 1 is a multiple of 2^-53, far from what it should be.
        auto flat = [](const Vars& x) { return tanh(sum(x[0]) * x[1]); };
        for (double size : {15, 17, 18, 19})
            CHECK(check_gradients(flat, {Tensor::of<double>({2}, {size, 1}), Tensor::of<double>({2}, {0.3, -0.9})}, {.order = 3}).verdict !=
                  Verdict::fail);
    }

    TEST_CASE("right rules are never refuted, whatever the inputs") {
        const std::vector<CheckedFunction> functions{
            [](const Vars& x) { return exp(x[0]) * x[1]; },
            [](const Vars& x) { return x[0] / (1 + square(x[1])); },
            [](const Vars& x) { return pow(abs(x[0]), x[1]); },
            [](const Vars& x) { return sigmoid(x[0] - x[1]); },
            [](const Vars& x) { return sqrt(1 + square(x[0])) * log(abs(x[1])); },
            [](const Vars& x) { return softmax(x[0], 0) * relu(x[1]); },
            [](const Vars& x) { return prod(x[0]) / x[1]; },
            [](const Vars& x) { return (x[0] - mean(x[0])) * rsqrt(variance(x[0], {0}) + 1e-5) + x[1]; },
        };
        std::mt19937_64 random(1);
        auto size = [&](int family) { // powers of ten: of one input alike, mixed, or at the ends of float64's range
            if (family == 0) return 0.0;
            if (family == 1) return draw_uniform(random, -12, 12);
            if (family == 2) return draw_below(random, 2) ? 0.0 : draw_uniform(random, -300, 300);
            return draw_below(random, 3) ? -5.0 : 0.0;
        };
        for (int trial = 0; trial < 40; ++trial)
            for (std::size_t i = 0; i < functions.size(); ++i) {
                std::vector<Tensor> inputs;
                std::int64_t count = 1 + static_cast<std::int64_t>(draw_below(random, 3));
                for (int input = 0; input < 2; ++input) {
                    int family = static_cast<int>(draw_below(random, 4));
                    inputs.push_back(Tensor::make<double>({count}, [&](std::span<double> elements) {
                        for (double& element : elements) element = draw_normal(random) * std::pow(10, size(family));
                    }));
                }
                GradientCheckReport report = check_gradients(functions[i], inputs, {.order = 1 + trial % 4});
                INFO(i, " ", trial, " ", inputs[0].at(0), " ", inputs[1].at(0), " ", to_string(report));
                CHECK(report.verdict != Verdict::fail);
            }
    }
}

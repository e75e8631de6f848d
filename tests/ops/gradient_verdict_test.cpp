#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/gradient_check.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

using Vars = std::vector<Var>;

Tensor scattered(const Shape& shape, double phase = 0) {
    return Tensor::make<double>(shape, [&](std::span<double> elements) {
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(12.9898 * double(i + 1) + phase);
    });
}

const std::vector<DerivativeMode> all_modes{DerivativeMode::reverse, DerivativeMode::forward,
                                            DerivativeMode::reverse_over_forward, DerivativeMode::forward_over_reverse};

/// x * x, whose rule forgets the factor 2.
const Op half_square_op = elementwise(
    "half_square", [](auto x) { return x * x; }, [](Var, Var g, Var x) { return g * x; });
const Op product_op = elementwise(
    "product", [](auto a, auto b) { return a * b; }, [](Var, Var g, Var, Var b) { return g * b; },
    [](Var, Var g, Var a, Var) { return 1.01 * g * a; });
const Op saved_exp_op = elementwise(
    "saved_exp", [](auto x) { return std::exp(x); },
    [](Var y, Var g, Var) { return g * y.tape().constant(y.value()); });

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("each thing that keeps a gradient from being checked has a name") {
        auto obstacle = [](const CheckedFunction& function, const Tensor& x) {
            GradientCheckReport report = check_gradients(function, {x});
            CHECK(report.verdict == Verdict::inconclusive);
            CHECK(report.exit_status() == 2);
            return report.obstacle;
        };
        auto of = [](std::initializer_list<double> elements) {
            return Tensor::of<double>({static_cast<std::int64_t>(elements.size())}, elements);
        };
        double draw = 0;
        CHECK(obstacle([](const Vars& x) { return 2 * x[0]; }, of({1}).as(Dtype::float32)) == Obstacle::input_type);
        CHECK(obstacle([](const Vars& x) { return 2 * x[0]; }, of({1, INFINITY})) == Obstacle::not_finite);
        CHECK(obstacle([](const Vars& x) { return exp(x[0]); }, of({1, 1000})) == Obstacle::not_finite);
        CHECK(obstacle([](const Vars& x) { return sum(log(x[0])); }, of({1, -1})) == Obstacle::outside_domain);
        CHECK(obstacle([](const Vars& x) { return sqrt(x[0]); }, of({1, 0})) == Obstacle::outside_domain);
        CHECK(obstacle([](const Vars& x) { return abs(x[0]); }, of({1, 0})) == Obstacle::kink);
        CHECK(obstacle([&](const Vars& x) { return x[0] * (draw += 1); }, of({1})) == Obstacle::not_deterministic);
        CHECK(obstacle([](const Vars& x) { return greater(x[0], 0); }, of({1})) == Obstacle::annihilated);
    }

    TEST_CASE("a function that changes after its first calls is not deterministic, nor is its gradient wrong") {
        for (int changed : {2, 3, 4, 5, 9}) {
            int calls = 0;
            auto drifting = [&](const Vars& x) { return exp(x[0]) * (++calls < changed ? 1 : 1.001); };
            GradientCheckReport report = check_gradients(drifting, {scattered({3})});
            INFO(changed, ": ", to_string(report));
            CHECK(report.verdict != Verdict::fail);
        }
        int calls = 0;
        auto once = [&](const Vars& x) { return exp(x[0]) * (++calls == 3 ? 1.001 : 1); };
        CHECK(check_gradients(once, {scattered({3})}).obstacle == Obstacle::not_deterministic);
    }

    TEST_CASE("an input outside the domain is named, with the op, the line and the element") {
        auto function = [](const Vars& x) { return x[0] * sum(log(x[1])); };
        std::string line = std::to_string(__LINE__ - 1);
        GradientCheckReport report = check_gradients(function, {scattered({3}), Tensor::of<double>({2}, {1, -2})});
        CHECK(report.reason == "input 1 lies outside the domain: log (gradient_verdict_test.cpp:" + line +
                                   ") gives nan at element 1, from -2");
    }

    TEST_CASE("values that underflow or overflow make a check inconclusive, never a failure") {
        auto verdict = [](const CheckedFunction& function, double x, int order) {
            GradientCheckReport report =
                check_gradients(function, {Tensor::of<double>({2}, {x, 1.5 * x})}, {.order = order});
            INFO(to_string(report));
            CHECK(report.verdict != Verdict::fail);
            return report.verdict;
        };
        for (int order = 1; order <= 4; ++order) {
            CAPTURE(order);
            CHECK(verdict([](const Vars& x) { return x[0] * x[0]; }, 1e-200, order) == Verdict::inconclusive);
            CHECK(verdict([](const Vars& x) { return tanh(x[0]); }, 1e160, order) == Verdict::inconclusive);
            CHECK(verdict([](const Vars& x) { return x[0] * x[0] * 1e300; }, 1e-200, order) == Verdict::inconclusive);
            CHECK(verdict([](const Vars& x) { return 3 * x[0]; }, 1e-200, order) == Verdict::pass);
            CHECK(verdict([](const Vars& x) { return 3 * x[0]; }, 1e200, order) == Verdict::pass);
            CHECK(verdict([](const Vars& x) { return x[0] * x[0]; }, 1e-60, order) == Verdict::pass);
            verdict([](const Vars& x) { return exp(x[0]) * x[0]; }, 1e-200, order);
            verdict([](const Vars& x) { return sqrt(x[0]) / x[0]; }, 1e-180, order);
        }
    }

    TEST_CASE("a wrong rule is found by each mode alone, at every order") {
        for (DerivativeMode mode : {DerivativeMode::reverse, DerivativeMode::forward,
                                    DerivativeMode::reverse_over_forward, DerivativeMode::forward_over_reverse})
            for (int order = 1; order <= 4; ++order)
                CHECK(check_gradients(half_square_op, {Tensor::of<double>({2}, {1, 2})}, {},
                                      {.order = order, .modes = {mode}}).verdict == Verdict::fail);
    }

    TEST_CASE("differences of functions quadratic in each input are exact") {
        GradientCheckReport report = check_gradients([](const Vars& x) { return matmul(x[0], x[1]) * x[2]; },
                                                     {scattered({2, 3}), scattered({3, 2}, 1), scattered({2, 2}, 2)});
        INFO(to_string(report));
        CHECK(report);
        CHECK(report.orders[0].exact == 16); // each element; not the step of all three beside them
        CHECK(report.orders[0].resolution < 1e-9);
    }

    TEST_CASE("a function that is flat but for a narrow bump is not taken for constant") {
        // At 0 the bump's slope is 1; half the scale away all that is left of it is 0.
        auto bump = [](const Vars& x) { return x[0] * exp(-square(1000 * x[0])); };
        GradientCheckReport report = check_gradients(bump, {Tensor::of<double>({2}, {0, 1})});
        INFO(to_string(report));
        CHECK(report.verdict != Verdict::fail);
    }

    TEST_CASE("every order is checked in every mode, alone and together") {
        auto function = [](const Vars& x) { return exp(x[0] * x[1]) / (1 + square(x[1])); };
        for (int order = 1; order <= 4; ++order) {
            for (DerivativeMode mode : all_modes) {
                GradientCheckReport report = check_gradients(function, {scattered({3}), scattered({3}, 1)},
                                                             {.order = order, .modes = {mode}});
                INFO(to_string(mode));
                INFO(to_string(report));
                CHECK(report);
            }
            CHECK(check_gradients(function, {scattered({3}), scattered({3}, 1)}, {.order = order}));
        }
    }

    TEST_CASE("a rule that is wrong from order 2 on is wrong in every mode") {
        for (DerivativeMode mode : all_modes) {
            GradientCheckReport report =
                check_gradients([](const Vars& x) { return x[0] * record(saved_exp_op, {x[1]}); },
                                {scattered({3}), scattered({3}, 1)}, {.order = 2, .modes = {mode}, .localize = false});
            CHECK(report.verdict == Verdict::fail);
            REQUIRE(!report.findings.empty());
            CHECK(report.findings[0].mode == mode);
            CHECK(report.findings[0].input == 1);
        }
    }

    TEST_CASE("a wrong rule that looks right at zeros is seen beside them") {
        auto product = [](const Vars& x) { return record(half_square_op, {x[0] * x[1]}); };
        Tensor zeros = Tensor::full({2}, 0, Dtype::float64);
        for (int order : {1, 2, 3})
            CHECK(check_gradients(product, {zeros, zeros}, {.order = order}).verdict == Verdict::fail);
    }

    TEST_CASE("an op is checked to order 3 where no order is given, a function to order 1") {
        CHECK(check_gradients(product_op, {scattered({3}), scattered({3}, 1)}, {}, {.order = 1}).orders.size() == 1);
        GradientCheckReport report = check_gradients(saved_exp_op, {scattered({3})});
        CHECK(report.verdict == Verdict::fail);
        CHECK(report.findings[0].order == 2);
        CHECK(check_gradients([](const Vars& x) { return exp(x[0]); }, {scattered({3})}).orders.size() == 1);
    }

    TEST_CASE("a full Jacobian leaves nothing to chance") {
        auto function = [](const Vars& x) { return tanh(matmul(x[0], x[1])); };
        GradientCheckReport report =
            check_gradients(function, {scattered({2, 3}), scattered({3, 2}, 1)}, {.order = 2, .full_jacobian = true});
        INFO(to_string(report));
        CHECK(report);
        CHECK(report.orders[0].chance_of_missing == 0);
        // Each output depends on 3 + 3 of the 12 elements, and on all of each input's as far as the check knows.
        CHECK(report.orders[0].comparisons == 4 * (12 + 2));
        auto wrong = [](const Vars& x) { return matmul(record(half_square_op, {x[0]}), x[1]); };
        report = check_gradients(wrong, {scattered({2, 3}), scattered({3, 2}, 1)}, {.full_jacobian = true});
        CHECK(report.verdict == Verdict::fail);
    }

    TEST_CASE("random projections miss an error no more often than the report says") {
        // The error in the Jacobian is a share of the largest derivative, in one element of 300, so small that the
        // projection may hide it.
        GradientCheckReport report = check_gradients([](const Vars& x) { return tanh(x[0]); }, {scattered({300})});
        CHECK(report);
        CHECK(report.orders[0].chance_of_missing > 0);
        CHECK(report.orders[0].chance_of_missing < 1e-4);
        int missed = 0;
        for (std::uint64_t seed = 1; seed <= 100; ++seed) {
            auto wrong = [](const Vars& x) { return record(product_op, {x[0], x[1]}); };
            missed +=
                !!check_gradients(wrong, {scattered({300}), scattered({300}, 1)}, {.seed = seed, .localize = false});
        }
        CHECK(missed == 0);
    }

    TEST_CASE("a check that is asked for no direction or no mode is refused") {
        auto identity = [](const Vars& x) { return 2 * x[0]; };
        CHECK_THROWS_WITH_AS(check_gradients(identity, {scattered({2})}, {.directions = 0}),
                             "check_gradients: needs at least one direction, got 0", ValueError);
        CHECK_THROWS_WITH_AS(check_gradients(identity, {scattered({2})}, {.modes = {}}),
                             "check_gradients: needs at least one mode", ValueError);
    }

    TEST_CASE("a report is JSON that a program can read, whatever the numbers") {
        GradientCheckReport report = check_gradients(
            [](const Vars& x) { return where(greater(x[0], 0), sqrt(x[0]), 0); }, {Tensor::of<double>({2}, {4, -1})});
        nlohmann::json json = nlohmann::json::parse(to_json(report));
        CHECK(json["verdict"] == "fail");
        CHECK(json["obstacle"] == "none");
        CHECK(json["reason"] == "the gradient is wrong at order 1, input 0");
        CHECK(json["orders"][0]["order"] == 1);
        CHECK(json["orders"][0]["comparisons"] == 2);
        REQUIRE(json["findings"].size() == 1);
        CHECK(json["findings"][0]["mode"] == "reverse");
        CHECK(json["findings"][0]["element"] == 1);
        CHECK(json["findings"][0]["got"].is_null()); // NaN
        CHECK(json["findings"][0]["expected"] == 0);
        report = check_gradients([](const Vars& x) { return abs(x[0]); }, {Tensor::of<double>({2}, {1, 0})});
        json = nlohmann::json::parse(to_json(report));
        CHECK(json["verdict"] == "inconclusive");
        CHECK(json["obstacle"] == "kink");
        CHECK(json["wrong_rules"].empty());
    }
}

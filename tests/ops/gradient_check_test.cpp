#include <cotape/ops/gradient_check.hpp>

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

using Vars = std::vector<Var>;

/// Numbers that look random, between -1 and 1.
Tensor scattered(const Shape& shape, double phase = 0) {
    return Tensor::make<double>(shape, [&](std::span<double> elements) {
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(12.9898 * double(i + 1) + phase);
    });
}

Var normalize(Var x, Var mean, Var variance) { return (x - mean) * rsqrt(variance + 1e-5); }
Var batch_norm(Var x) { return normalize(x, batch_mean(x), batch_variance(x)); }
/// The same value, cut off from what it depends on: how a saved statistic goes wrong.
Var detached(Var x) { return x.tape().constant(x.value()); }

const Op wrong_tanh_op = elementwise(
    "wrong_tanh", [](auto x) { return std::tanh(x); }, [](Var y, Var g, Var) { return g * (1 - y); });
const Op slightly_wrong_op = elementwise(
    "slightly_wrong", [](auto x) { return x * x; }, [](Var, Var g, Var x) { return 2.000001 * g * x; });
/// Right at order 1, wrong from order 2 on: the saved output is cut off.
const Op wrong_at_second_order_op = elementwise(
    "wrong_at_second_order", [](auto x) { return std::exp(x); }, [](Var y, Var g, Var) { return g * detached(y); });

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("a gradient check passes a composed batch norm up to order four") {
        GradientCheckReport report = check_gradients(
            [](const Vars& x) { return batch_norm(x[0]) * x[1] + x[2]; },
            {scattered({5, 2}), scattered({2}, 1), scattered({2}, 2)}, {.order = 4});
        INFO(to_string(report));
        CHECK(report);
        REQUIRE(report.orders.size() == 4);
        // 10 + 2 + 2 elements, a point beside them and the forward derivative; from order 2 on also the two mixed ones.
        for (const GradientOrderSummary& order : report.orders) CHECK(order.comparisons == (order.order == 1 ? 16 : 18));
        CHECK(report.orders[0].resolution < 1e-8);
        CHECK(report.findings.empty());
        CHECK(report.reason.empty());
    }

    TEST_CASE("a gradient check fails a wrong first derivative, and names input, element, got and expected") {
        GradientCheckReport report = check_gradients(
            [](const Vars& x) { return sum(x[0]) * record(wrong_tanh_op, {x[1]}); }, {scattered({2}), scattered({3}, 1)});
        CHECK(!report);
        CHECK(report.verdict == Verdict::fail);
        CHECK(report.reason == "the gradient is wrong at order 1, input 1");
        REQUIRE(report.findings.size() == 3);
        for (std::size_t i = 0; i < 3; ++i) {
            const GradientFinding& finding = report.findings[i];
            CHECK(finding.input == 1);
            CHECK(finding.element == static_cast<std::int64_t>(i));
            CHECK(finding.order == 1);
            double y = std::tanh(scattered({3}, 1).at(static_cast<std::int64_t>(i)));
            CHECK(finding.got / finding.expected == doctest::Approx((1 - y) / (1 - y * y)));
            CHECK(finding.error == doctest::Approx(std::abs(finding.got - finding.expected)));
            CHECK(finding.error > finding.bound);
        }
    }

    TEST_CASE("a gradient check sees an error of one part in a million") {
        CHECK(check_gradients([](const Vars& x) { return record(slightly_wrong_op, {x[0]}); }, {scattered({4})}).verdict ==
              Verdict::fail);
    }

    TEST_CASE("a gradient check at order 2 sees what order 1 cannot: a saved output") {
        auto function = [](const Vars& x) { return record(wrong_at_second_order_op, {x[0]}); };
        CHECK(check_gradients(function, {scattered({4})}, {.order = 1}));
        GradientCheckReport report = check_gradients(function, {scattered({4})}, {.order = 2});
        CHECK(report.reason == "the gradient is wrong at order 2, input 0");
        REQUIRE(report.findings.size() == 4);
        CHECK(report.findings[0].got == 0);
    }

    TEST_CASE("a gradient check fails a batch norm whose statistics are detached") {
        auto check = [](auto function) { return check_gradients(function, {scattered({5, 2})}).verdict; };
        CHECK(check([](const Vars& x) { return normalize(x[0], detached(batch_mean(x[0])), batch_variance(x[0])); }) ==
              Verdict::fail);
        CHECK(check([](const Vars& x) { return normalize(x[0], batch_mean(x[0]), detached(batch_variance(x[0]))); }) ==
              Verdict::fail);
    }

    TEST_CASE("beyond the element limit a gradient check takes directions, and finds the wrong element") {
        Tensor mask = Tensor::make<double>({300}, [](std::span<double> elements) {
            std::ranges::fill(elements, 0);
            elements[217] = 1;
        });
        auto function = [&](const Vars& x) {
            return where(x[0].tape().constant(mask), record(wrong_tanh_op, {x[0]}), tanh(x[0]));
        };
        GradientCheckReport report = check_gradients(function, {scattered({300})});
        CHECK(report.verdict == Verdict::fail);
        REQUIRE(!report.findings.empty());
        for (const GradientFinding& finding : report.findings) CHECK(finding.element == 217);
        report = check_gradients([&](const Vars& x) { return tanh(x[0]); }, {scattered({300})}, {.order = 3});
        INFO(to_string(report));
        CHECK(report);
        CHECK(report.orders[0].comparisons == 4);
    }

    TEST_CASE("a gradient check of a relu net with many kinks close by passes at small steps") {
        auto net = [](const Vars& x) { return matmul(relu(batch_norm(matmul(x[0], x[1]))), x[2]); };
        GradientCheckReport report =
            check_gradients(net, {scattered({16, 20}), scattered({20, 64}, 1), scattered({64, 3}, 2)}, {.order = 2});
        INFO(to_string(report));
        CHECK(report);
    }

    TEST_CASE("a gradient check of inputs that are not float64 is inconclusive") {
        auto identity = [](const Vars& x) { return 2 * x[1]; };
        GradientCheckReport report = check_gradients(identity, {scattered({2}), scattered({2}).as(Dtype::float32)});
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.reason == "input 1 is float32: differences of it would drown in rounding; convert it to float64");
        report = check_gradients(identity, {scattered({2}), Tensor(std::int64_t(1))});
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.reason == "input 1 is int64: it has no derivative");
    }

    TEST_CASE("a gradient check at values that are not finite is inconclusive") {
        GradientCheckReport report =
            check_gradients([](const Vars& x) { return 2 * x[0]; }, {Tensor::of<double>({2}, {1, NAN})});
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.reason == "input 0 is not finite: nan at element 1");
        report = check_gradients([](const Vars& x) { return log(x[0]); }, {Tensor::of<double>({2}, {1, 0})});
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.reason == "the function is not finite at input 0: log (gradient_check_test.cpp:145) gives -inf at element 1, from 0");
    }

    TEST_CASE("a gradient check at the border of the domain is inconclusive") {
        GradientCheckReport report =
            check_gradients([](const Vars& x) { return sqrt(x[0]); }, {Tensor::of<double>({2}, {1, 0})});
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.reason == "order 1, input 0, element 1: the function is not finite within the smallest step: a border of its "
                               "domain");
    }

    TEST_CASE("a gradient that is NaN where the function is smooth fails") {
        auto function = [](const Vars& x) { return where(greater(x[0], 0), sqrt(x[0]), 0); };
        GradientCheckReport report = check_gradients(function, {Tensor::of<double>({2}, {4, -1})});
        CHECK(report.verdict == Verdict::fail);
        REQUIRE(report.findings.size() == 1);
        CHECK(report.findings[0].element == 1);
        CHECK(report.findings[0].expected == 0);
    }

    TEST_CASE("a gradient check across a kink is inconclusive") {
        for (auto function : {relu, abs}) {
            GradientCheckReport report = check_gradients([&](const Vars& x) { return function(x[0]); },
                                                         {Tensor::of<double>({3}, {1, 0, -1})}, {.order = 2});
            CHECK(report.verdict == Verdict::inconclusive);
            CHECK(report.reason ==
                  "order 1, input 0, element 1: a kink within the smallest step: the slopes on its two sides differ");
        }
    }

    TEST_CASE("a gradient check of a function with random draws is inconclusive") {
        double draw = 0;
        GradientCheckReport report =
            check_gradients([&](const Vars& x) { return x[0] * (draw += 1); }, {scattered({3})});
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.reason == "the function gives another output when it is called again: it is not deterministic");
    }

    TEST_CASE("a probe that the function annihilates is inconclusive, not passed") {
        GradientCheckReport report =
            check_gradients([](const Vars& x) { return sum(batch_norm(x[0])); }, {scattered({5, 2})}, {.order = 3});
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.reason == "the probe is annihilated: input 0 does not move the output beyond rounding, so its "
                               "derivatives are not tested");
        CHECK(check_gradients([](const Vars& x) { return greater(x[0], 0); }, {scattered({3})}).verdict ==
              Verdict::inconclusive);
    }

    TEST_CASE("functions whose higher derivatives vanish pass, exactly or by cancellation") {
        CHECK(check_gradients([](const Vars& x) { return 3 * x[0]; }, {scattered({3})}, {.order = 4}));
        GradientCheckReport report =
            check_gradients([](const Vars& x) { return x[0] * x[0] * exp(x[1]) / x[0]; },
                            {scattered({3}), scattered({3}, 1)}, {.order = 4});
        INFO(to_string(report));
        CHECK(report);
        CHECK(check_gradients([](const Vars& x) { return x[0] * x[0] * x[0]; }, {Tensor::of<double>({2}, {0, 1})},
                              {.order = 4}));
    }

    TEST_CASE("inputs of very different scales are checked, each at its own") {
        GradientCheckReport report =
            check_gradients([](const Vars& x) { return tanh(1e-6 * x[0]) * exp(1e5 * x[1]); },
                            {Tensor::of<double>({2}, {1e6, -7e5}), Tensor::of<double>({2}, {1e-5, -2e-5})}, {.order = 3});
        INFO(to_string(report));
        CHECK(report);
    }

    TEST_CASE("a gradient check leaves states as they were") {
        State running(scattered({1, 2}));
        std::uint64_t version = running.version();
        CHECK(check_gradients(
            [&](const Vars& x) {
                x[0].tape().propose(running, batch_mean(x[0]));
                return batch_norm(x[0]);
            },
            {scattered({5, 2})}));
        CHECK(running.version() == version);
    }

    TEST_CASE("a gradient check gives the same report for the same seed") {
        auto report = [](std::uint64_t seed) {
            return to_string(check_gradients([](const Vars& x) { return exp(x[0]); }, {scattered({3})},
                                             {.order = 2, .seed = seed}));
        };
        CHECK(report(7) == report(7));
        CHECK(report(7) != report(8));
    }

    TEST_CASE("a gradient check refuses orders it does not know, and to check nothing") {
        auto identity = [](const Vars& x) { return 2 * x[0]; };
        CHECK_THROWS_WITH_AS(check_gradients(identity, {scattered({2})}, {.order = 5}),
                             "check_gradients: order must be in 1 to 4, got 5", ValueError);
        CHECK_THROWS_WITH_AS(check_gradients(identity, {scattered({2})}, {.order = 0}),
                             "check_gradients: order must be in 1 to 4, got 0", ValueError);
        CHECK_THROWS_WITH_AS(check_gradients(CheckedFunction(), {scattered({2})}),
                             "check_gradients: needs a function, got none", ValueError);
        CHECK_THROWS_WITH_AS(check_gradients(identity, {}), "check_gradients: needs at least one input", ValueError);
        CHECK_THROWS_WITH_AS(check_gradients(identity, {Tensor()}), "check_gradients: input 0 is empty", ValueError);
    }

    TEST_CASE("a report prints its verdict, its reason, what was compared, and what is wrong") {
        GradientCheckReport report;
        CHECK(to_string(report) == "gradient check: pass");
        report = {.verdict = Verdict::fail,
                  .reason = "the gradient is wrong at order 2, input 1",
                  .findings = {{.order = 2, .input = 1, .element = 3, .got = 0.5, .expected = 0.25, .error = 0.25, .bound = 1e-9}},
                  .orders = {{.order = 1, .comparisons = 7, .exact = 2, .worst_error = 0.125, .resolution = 1e-10,
                              .chance_of_missing = 4e-8}}};
        report.wrong_rules = {{"cube", "/home/me/net.cpp", 12, "layers.0", report.findings[0], "a factor 2 too many"}};
        CHECK(to_string(report) ==
              "gradient check: fail: the gradient is wrong at order 2, input 1\n"
              "  order  comparisons  exact  worst error / bound  resolution  chance to miss 1 %\n"
              "      1            7      2                 0.12       1e-10               4e-08\n"
              "  wrong                 order  input      element             got        expected     error     bound\n"
              "  reverse                   2      1            3             0.5            0.25      0.25     1e-09\n"
              "  cube at net.cpp:12 in layers.0: its derivative for input 1 is wrong at order 2\n"
              "    worst at element 3: got 0.5, expected 0.25 within 1e-09, ratio 2\n"
              "    looks like a factor 2 too many");
        CHECK(report.exit_status() == 1);
    }
}

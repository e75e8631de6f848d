#include <cotape/nn/gradient_check.hpp>

#include <cmath>
#include <random>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/losses.hpp>

using namespace cotape;

namespace {

/// 100,930 parameters, a batch, and its loss.
struct LargeNet {
    std::mt19937 random{1};
    nn::Sequential net{nn::Linear(784, 120, {.bias = false}, random), nn::BatchNorm1d(120), nn::Relu(),
                       nn::Linear(120, 50, {.bias = false}, random), nn::BatchNorm1d(50), nn::Tanh(),
                       nn::Linear(50, 10, random)};
    Tensor x = nn::normal({16, 784}, 0, 1, random), labels = Tensor::full({16}, 3, Dtype::int64);
};

const Op wrong_square_op = elementwise(
    "wrong_square", [](auto x) { return x * x; }, [](Var, Var g, Var x) { return 2.02 * g * x; });

} // namespace

TEST_SUITE("nn") {
    TEST_CASE_FIXTURE(LargeNet, "a net of 100,000 parameters is checked, and the wrong rule in it is named") {
        std::int64_t count = 0;
        for (const auto& parameter : net.parameters()) count += parameter.state.value().size();
        CHECK(count == 100'930);
        GradientCheckReport report =
            nn::check_gradients(net, x, [&](Var logits) { return cross_entropy(logits, labels); });
        INFO(to_string(report));
        CHECK(report);
        CHECK(report.orders[0].chance_of_missing < 1e-3);
        report = nn::check_gradients(net, x, [&](Var logits) {
            return cross_entropy(record(wrong_square_op, {logits}), labels);
        });
        CHECK(report.verdict == Verdict::fail);
        REQUIRE(report.wrong_rules.size() == 1);
        CHECK(report.wrong_rules[0].op == "wrong_square");
    }

    TEST_CASE("a gradient check of a net calls inputs x and parameters by their paths") {
        std::mt19937 random(2);
        nn::Sequential net(nn::Linear(2, 2, random), nn::Tanh(), nn::Linear(2, 1, random));
        Tensor x = Tensor::of({1, 2}, {0.5f, -1.0f});
        net.parameters()[2].state.assign(Tensor::full({1, 2}, 0));
        GradientCheckReport report = nn::check_gradients(net, x, [](Var y) { return y; });
        CHECK(report.reason == "the probe is annihilated: x does not move the output beyond rounding, so its derivatives "
                               "are not tested");
        report = nn::check_gradients(net, x, [](Var y) { return record(wrong_square_op, {y + 1}); });
        CHECK(report.reason == "the gradient is wrong at order 1, 2.weight");
        REQUIRE(report.findings.size() > 0);
        CHECK(report.findings[0].input == 3);
        CHECK(report.findings[0].input_name == "2.weight");
        CHECK(to_string(report).find("\n  reverse                   1  2.weight            0") != std::string::npos);
        net.parameters()[3].state.assign(Tensor::full({1}, INFINITY));
        report = nn::check_gradients(net, x, [](Var y) { return y; });
        CHECK(report.reason == "2.bias is not finite: inf at element 0");
    }

    TEST_CASE_FIXTURE(LargeNet, "a gradient check of a net without a loss is refused") {
        CHECK_THROWS_WITH_AS(nn::check_gradients(net, x, nullptr), "nn::check_gradients: needs a loss, got none",
                             ValueError);
    }
}

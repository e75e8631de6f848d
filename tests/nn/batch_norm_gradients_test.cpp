#include <cotape/nn/batch_norm.hpp>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/losses.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "numbers.hpp"
#include "plain_batch_norm.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

std::vector<double> sums_per_channel(const Tensor& x) {
    std::vector<double> sums(static_cast<std::size_t>(x.shape()[1]));
    for (std::int64_t i = 0; i < x.size(); ++i)
        sums[static_cast<std::size_t>(PlainBatchNorm::channel_of(x, i))] += x.at(i);
    return sums;
}

/// Two linear layers with a batch norm between them.
nn::Sequential make_net() {
    std::mt19937 random(3);
    nn::Sequential net(nn::Linear(4, 3, {.bias = false}, random), nn::BatchNorm1d(3), nn::Tanh(),
                       nn::Linear(3, 2, random));
    Tape tape;
    net(tape.constant(scattered({8, 4}, 5)));
    commit(tape);
    return net;
}

/// Batch norm with the variance cut off from x, as a saved statistic would be.
class DetachedVariance : public nn::Module {
  public:
    std::string describe() const override { return "DetachedVariance"; }

  protected:
    Var forward(Var x) override {
        Var variance = x.tape().constant(batch_variance(x).value());
        return (x - batch_mean(x)) * rsqrt(variance + 1e-5);
    }
};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("the gradients of batch norm in training satisfy its identities") {
        for (const Shape& shape : {Shape{6, 3}, Shape{4, 3, 5}}) {
            CAPTURE(to_string(shape));
            nn::BatchNorm1d layer(3, {.epsilon = 1e-10});
            layer.parameters()[0].state.assign(Tensor::of<float>({3}, {1.5, -0.5, 2}));
            Tape tape;
            Var x = tape.variable(scattered(shape)), dy = tape.constant(scattered(shape, 1));
            Var scale = tape.variable(layer.parameters()[0].state), shift = tape.variable(layer.parameters()[1].state);
            std::vector<Var> slopes = gradients(layer(x), {x, scale, shift}, dy);
            Var normalized = (x - batch_mean(x)) * rsqrt(batch_variance(x) + 1e-10);
            CHECK(distance(sums_per_channel(slopes[0].value()), {0, 0, 0}) < 1e-5);
            CHECK(distance(sums_per_channel((slopes[0] * normalized).value()), {0, 0, 0}) < 1e-5);
            CHECK(distance(slopes[1].value(), sums_per_channel((dy * normalized).value())) < 2e-6);
            CHECK(distance(slopes[2].value(), sums_per_channel(dy.value())) < 2e-6);
        }
    }

    TEST_CASE("the sum of a batch-normalised batch does not depend on it") {
        nn::BatchNorm1d layer(3);
        Tape tape;
        Var x = tape.variable(scattered({6, 3}));
        CHECK(distance(gradient(sum(layer(x)), x).value(), std::vector<double>(18, 0)) < 1e-6);
    }

    TEST_CASE("in evaluation the gradient is that of an affine map") {
        nn::BatchNorm1d layer(3);
        layer.parameters()[0].state.assign(Tensor::of<float>({3}, {1.5, -0.5, 2}));
        layer.set_running_statistics(Tensor::of<float>({3}, {1, 2, 3}), Tensor::of<float>({3}, {4, 0.25, 1}));
        layer.evaluate();
        Tape tape;
        Var x = tape.variable(scattered({6, 3})), dy = tape.constant(scattered({6, 3}, 1));
        std::vector<double> scale{1.5, -0.5, 2}, variance{4, 0.25, 1}, expected = elements_of(dy.value());
        for (std::size_t i = 0; i < expected.size(); ++i)
            expected[i] *= scale[i % 3] / std::sqrt(variance[i % 3] + 1e-5);
        CHECK(distance(gradient(layer(x), x, dy).value(), expected) < 1e-6);
    }

    TEST_CASE("the second derivative of batch norm is right by nested jvp and by reverse over reverse") {
        // The case of pytorch#196699, whose value there is -2.1324.
        nn::BatchNorm1d layer(2, {.epsilon = 0.25});
        layer.update(nn::Update::never);
        Tape tape;
        auto constant = [&](const std::vector<double>& elements, const Shape& shape) {
            return tape.constant(Tensor::of<double>(shape, elements));
        };
        tape.bind(layer.parameters()[0].state, constant({1.5, -0.5}, {2}));
        tape.bind(layer.parameters()[1].state, constant({0.25, 1}, {2}));
        std::vector<double> linear, square_part, start, weights;
        for (int i = 0; i < 8; ++i) {
            linear.push_back(i + 1);
            square_part.push_back(i % 3 - 1);
            start.push_back(i);
            weights.push_back(i + 1);
        }
        Var t = tape.variable(Tensor(-6.0)), one = tape.constant(Tensor(1.0));
        Var x =
            constant(linear, {2, 2, 2}) * t + constant(square_part, {2, 2, 2}) * square(t) + constant(start, {2, 2, 2});
        Var f = sum(constant(weights, {2, 2, 2}) * layer(x));
        CHECK(jvp(jvp(f, t, one), t, one).item() == doctest::Approx(-0.20703015646993195).epsilon(1e-12));
        CHECK(gradient(gradient(f, t), t).item() == doctest::Approx(-0.20703015646993195).epsilon(1e-12));
        CHECK(jvp(gradient(f, t), t, one).item() == doctest::Approx(-0.20703015646993195).epsilon(1e-12));
        CHECK(gradient(jvp(f, t, one), t).item() == doctest::Approx(-0.20703015646993195).epsilon(1e-12));
    }

    TEST_CASE("a batch-normalised net passes the gradient check at orders 1 and 2 in both modes") {
        nn::Sequential net = make_net();
        Tensor labels = Tensor::of<std::int64_t>({5}, {0, 1, 1, 0, 1});
        for (bool training : {true, false})
            for (int order : {1, 2}) {
                CAPTURE(training);
                net.set_training(training);
                GradientCheckReport report =
                    nn::check_gradients(net, scattered({5, 4}),
                                        [&](Var logits) { return cross_entropy(logits, labels); }, {.order = order});
                INFO(to_string(report));
                CHECK(report);
                CHECK(report.orders.size() == static_cast<std::size_t>(order));
            }
    }

    TEST_CASE("batch norm over a length passes the gradient check to order 3, and frozen too") {
        nn::BatchNorm1d layer(2);
        layer.parameters()[0].state.assign(Tensor::of<float>({2}, {1.5, -0.5}));
        layer.set_running_statistics(Tensor::of<float>({2}, {0.5, -1}), Tensor::of<float>({2}, {2, 0.5}));
        for (nn::Statistics statistics : {nn::Statistics::batch, nn::Statistics::population}) {
            layer.use(statistics);
            GradientCheckReport report =
                nn::check_gradients(layer, scattered({3, 2, 2}), [](Var y) { return y * y * y; }, {.order = 3});
            INFO(to_string(report));
            CHECK(report);
        }
    }

    TEST_CASE("the gradient check catches a batch norm whose variance is detached") {
        DetachedVariance layer;
        GradientCheckReport report = nn::check_gradients(layer, scattered({5, 3}), [](Var y) { return square(y) * y; });
        CHECK(report.verdict == Verdict::fail);
        CHECK(report.reason == "the gradient is wrong at order 1, x");
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(3, 2, {.bias = false}, random), DetachedVariance());
        report = nn::check_gradients(net, scattered({5, 3}), [](Var y) { return square(y) * y; });
        CHECK(report.verdict == Verdict::fail);
        REQUIRE(!report.findings.empty());
        CHECK(report.findings.front().input == 0);
        CHECK(report.findings.back().input == 1);
    }

    TEST_CASE("a loss that batch norm annihilates is inconclusive, not passed") {
        nn::BatchNorm1d layer(3);
        GradientCheckReport report = nn::check_gradients(layer, scattered({5, 3}), [](Var y) { return sum(y); });
        CHECK(report.verdict == Verdict::inconclusive);
    }
}

#include <cotape/nn/batch_norm.hpp>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

#include "numbers.hpp"
#include "plain_batch_norm.hpp"
#include "snapshot.hpp"

using namespace cotape;
using namespace cotape::testing;
using nn::Statistics;
using nn::Update;

namespace {

nn::BatchNorm1d trained_layer() {
    nn::BatchNorm1d layer(3);
    Tape tape;
    layer(tape.constant(scattered({6, 3}, 9)));
    commit(tape);
    return layer;
}

/// The running mean after this many steps of momentum 0.1 from `start` towards `batch`.
std::vector<double> moved(std::vector<double> start, const std::vector<double>& batch, int steps) {
    for (int step = 0; step < steps; ++step)
        for (std::size_t c = 0; c < start.size(); ++c) start[c] = 0.9 * start[c] + 0.1 * batch[c];
    return start;
}

std::vector<double> mean_of(const Tensor& x) { return PlainBatchNorm(x, {1, 1, 1}, {0, 0, 0}, 1).mean; }

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a forward pass without a commit leaves the statistics bitwise as they were") {
        nn::BatchNorm1d layer = trained_layer();
        Snapshot before(layer);
        for (int pass = 0; pass < 3; ++pass) {
            Tape tape;
            Var x = tape.variable(scattered({5, 3}, pass)), y = layer(x);
            gradient(sum(y * y), x).value();
        }
        CHECK(before.is_current());
    }

    TEST_CASE("evaluation and measuring in training mode leave the statistics bitwise as they were") {
        nn::BatchNorm1d layer = trained_layer();
        Snapshot before(layer);
        Tape tape;
        {
            nn::Evaluating evaluating(layer);
            layer(tape.constant(scattered({5, 3}))).value();
            commit(tape);
        }
        layer(tape.constant(scattered({5, 3}))).value();
        CHECK(before.is_current());
    }

    TEST_CASE("a gradient check leaves the statistics bitwise as they were, in both modes") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(4, 3, {.bias = false}, random), trained_layer());
        Snapshot before(net);
        auto loss = [](Var y) { return sum(y * y * y); };
        CHECK(nn::check_gradients(net, scattered({5, 4}), loss));
        net.evaluate();
        CHECK(nn::check_gradients(net, scattered({5, 4}), loss));
        CHECK(before.is_current());
    }

    TEST_CASE("the same batch forwarded again on a tape is proposed once, whatever lies between") {
        Tensor a = scattered({5, 3}, 1), b = scattered({5, 3}, 2);
        nn::BatchNorm1d layer(3);
        Tape tape;
        layer(tape.constant(a));
        layer(tape.constant(a));
        layer(tape.constant(b));
        layer(tape.constant(a));
        commit(tape);
        CHECK(distance(layer.running_mean(), moved(moved({0, 0, 0}, mean_of(a), 1), mean_of(b), 1)) < 1e-6);
        CHECK(layer.batches_seen() == 2);
    }

    TEST_CASE("the same batch is proposed once even with passes on other tapes between") {
        Tensor a = scattered({5, 3}, 1);
        nn::BatchNorm1d layer(3);
        Tape tape;
        layer(tape.constant(a));
        {
            Tape other;
            layer(other.constant(a));
            layer(other.constant(scattered({5, 3}, 2)));
        }
        layer(tape.constant(a));
        commit(tape);
        CHECK(distance(layer.running_mean(), moved({0, 0, 0}, mean_of(a), 1)) < 1e-6);
        CHECK(layer.batches_seen() == 1);
    }

    TEST_CASE("each tape proposes the same batch for itself") {
        Tensor a = scattered({5, 3}, 1);
        nn::BatchNorm1d layer(3);
        for (int step = 0; step < 3; ++step) {
            Tape tape;
            layer(tape.constant(a));
            commit(tape);
        }
        Tape tape;
        for (int step = 0; step < 2; ++step) {
            tape.clear();
            layer(tape.constant(a));
            commit(tape);
        }
        CHECK(layer.batches_seen() == 5);
        CHECK(distance(layer.running_mean(), moved({0, 0, 0}, mean_of(a), 5)) < 1e-6);
    }

    TEST_CASE("a forward pass that was rolled back proposes anew when it is repeated") {
        Tensor a = scattered({5, 3}, 1), b = scattered({5, 3}, 2);
        nn::BatchNorm1d layer(3);
        Tape tape;
        layer(tape.constant(b));
        {
            Tape::Transaction transaction(tape);
            layer(tape.constant(a));
        }
        layer(tape.constant(a));
        layer(tape.constant(b));
        commit(tape);
        CHECK(layer.batches_seen() == 2);
        CHECK(distance(layer.running_mean(), moved(moved({0, 0, 0}, mean_of(b), 1), mean_of(a), 1)) < 1e-6);
    }

    TEST_CASE("a layer that stands twice in a net tracks both of its inputs") {
        Tensor a = scattered({5, 3}, 1);
        nn::BatchNorm1d layer(3);
        Tape tape;
        layer(layer(tape.constant(a)));
        commit(tape);
        CHECK(layer.batches_seen() == 2);
        CHECK(distance(layer.running_mean(), moved(moved({0, 0, 0}, mean_of(a), 1), {0, 0, 0}, 1)) < 1e-6);
    }

    TEST_CASE("two layers that see the same input each track it") {
        Tensor a = scattered({5, 3}, 1);
        nn::BatchNorm1d first(3), second(3);
        Tape tape;
        Var x = tape.constant(a);
        first(x) + second(x);
        commit(tape);
        CHECK(first.batches_seen() == 1);
        CHECK(second.batches_seen() == 1);
        CHECK(same_bits(first.running_variance(), second.running_variance()));
    }

    TEST_CASE("which statistics normalise, and whether they are updated, are two switches") {
        struct Expected {
            bool batch, updated;
        };
        auto expected = [](Statistics statistics, Update update, bool training) -> Expected {
            bool batch = statistics == Statistics::batch || (statistics == Statistics::by_mode && training);
            bool wanted = update == Update::always || (update == Update::by_mode && training);
            return {batch, batch && wanted};
        };
        Tensor x = scattered({5, 3}, 1);
        for (Statistics statistics : {Statistics::by_mode, Statistics::batch, Statistics::population})
            for (Update update : {Update::by_mode, Update::always, Update::never})
                for (bool training : {true, false}) {
                    CAPTURE(static_cast<int>(statistics));
                    CAPTURE(static_cast<int>(update));
                    CAPTURE(training);
                    nn::BatchNorm1d layer = trained_layer();
                    std::vector<double> mean = elements_of(layer.running_mean());
                    std::vector<double> variance = elements_of(layer.running_variance());
                    layer.use(statistics);
                    layer.update(update);
                    layer.set_training(training);
                    Tape tape;
                    Tensor y = layer(tape.constant(x)).value();
                    commit(tape);
                    Expected now = expected(statistics, update, training);
                    PlainBatchNorm own(x, {1, 1, 1}, {0, 0, 0}, 1e-5);
                    PlainBatchNorm running(x, mean, variance, {1, 1, 1}, {0, 0, 0}, 1e-5);
                    CHECK(distance(y, now.batch ? own.y : running.y) < 3e-6);
                    CHECK(layer.batches_seen() == (now.updated ? 2 : 1));
                    CHECK(distance(layer.running_mean(), now.updated ? moved(mean, own.mean, 1) : mean) < 1e-6);
                }
    }

    TEST_CASE("a frozen batch norm is a fixed affine map that still trains its scale and shift") {
        nn::BatchNorm1d layer = trained_layer();
        layer.use(Statistics::population);
        Snapshot before(layer);
        Tape tape;
        Var x = tape.variable(scattered({5, 3}));
        Var y = layer(x);
        Var scale = tape.variable(layer.parameters()[0].state), shift = tape.variable(layer.parameters()[1].state);
        std::vector<Var> slopes = gradients(sum(y), {x, scale, shift});
        for (std::int64_t i = 0; i < x.value().size(); ++i)
            CHECK(slopes[0].value().at(i) == doctest::Approx(1 / std::sqrt(layer.running_variance().at(i % 3) + 1e-5)));
        CHECK(distance(slopes[2].value(), {5, 5, 5}) == 0);
        CHECK(distance(slopes[1].value(), {0, 0, 0}) > 0.01);
        commit(tape);
        CHECK(before.is_current());
    }

    TEST_CASE("the running statistics and the count are states with PyTorch's names") {
        nn::BatchNorm1d layer(3);
        std::vector<std::string> paths;
        for (const auto& [path, state] : layer.parameters()) paths.push_back(path);
        for (const auto& [path, state] : layer.statistics()) paths.push_back(path);
        CHECK(paths ==
              std::vector<std::string>{"weight", "bias", "running_mean", "running_var", "num_batches_tracked"});
    }
}

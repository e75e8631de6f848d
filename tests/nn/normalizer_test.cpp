#include <cotape/nn/normalizer.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>

#include "numbers.hpp"
#include "plain_batch_norm.hpp"
#include "step_norm.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// A net in which a batch norm stands twice.
class Twice : public nn::Module {
  public:
    explicit Twice(std::mt19937& random) : first(3, 3, random), norm(3) {}
    void visit(nn::Visitor& visitor) override {
        visitor("first", first);
        visitor("norm", norm);
        visitor("again", norm);
    }
    std::string describe() const override { return "Twice"; }

    nn::Linear first;
    nn::BatchNorm1d norm;

  protected:
    Var forward(Var x) override { return norm(first(norm(x))); }
};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("the normalisers of a model have their paths, and one that is shared stands there once") {
        std::mt19937 random(1);
        nn::Sequential net(nn::BatchNorm1d(3), Twice(random));
        std::vector<nn::NamedNormalizer> found = nn::normalizers(net);
        REQUIRE(found.size() == 2);
        CHECK(found[0].path == "0");
        CHECK(found[0].normalizer == &net[0]);
        CHECK(found[1].path == "1.norm");
        nn::BatchNorm1d alone(2);
        REQUIRE(nn::normalizers(alone).size() == 1);
        CHECK(nn::normalizers(alone)[0].path == "");
        nn::Linear linear(2, 2, random);
        CHECK(nn::normalizers(linear).empty());
    }

    TEST_CASE(
        "measuring notes each batch that passes a normaliser once, in every mode, and what its statistics are of") {
        Tensor a = scattered({5, 3, 2}, 1), b = scattered({4, 3, 2}, 2);
        for (bool training : {true, false}) {
            CAPTURE(training);
            nn::BatchNorm1d layer(3);
            layer.set_running_statistics(Tensor::full({3}, 0.5), Tensor::full({3}, 2));
            layer.set_training(training);
            Tape tape;
            Tensor unmeasured = layer(tape.constant(a)).value();
            nn::Measuring measuring(layer);
            CHECK(same_bits(layer(tape.constant(a)).value(), unmeasured));
            layer(tape.constant(b));
            layer(tape.constant(a));
            REQUIRE(measuring.measured().size() == 1);
            const std::vector<nn::BatchStatistics>& batches = measuring.measured()[0].batches;
            REQUIRE(batches.size() == 2);
            for (std::size_t i : {0, 1}) {
                PlainBatchNorm expected(i == 0 ? a : b, {1, 1, 1}, {0, 0, 0}, 1e-5);
                CHECK(distance(batches[i].mean.value(), expected.mean) < 1e-7);
                CHECK(distance(batches[i].variance.value(), expected.population_variance) < 1e-7);
                CHECK(batches[i].count.item() == (i == 0 ? 10 : 8));
            }
            measuring.clear();
            CHECK(measuring.measured()[0].batches.empty());
        }
    }

    TEST_CASE("measuring leaves proposals as they are without it") {
        Tensor a = scattered({5, 3}, 1);
        nn::BatchNorm1d plain(3), measured(3), frozen(3);
        frozen.use(nn::Statistics::population);
        frozen.set_running_statistics(Tensor::full({3}, 1), Tensor::full({3}, 4));
        for (nn::BatchNorm1d* layer : {&plain, &measured, &frozen}) {
            std::optional<nn::Measuring> measuring;
            if (layer != &plain) measuring.emplace(*layer);
            Tape tape;
            (*layer)(tape.constant(a));
            commit(tape);
        }
        CHECK(same_bits(measured.running_mean(), plain.running_mean()));
        CHECK(same_bits(measured.running_variance(), plain.running_variance()));
        CHECK(measured.batches_seen() == 1);
        CHECK(distance(frozen.running_mean(), {1, 1, 1}) == 0);
    }

    TEST_CASE("measuring ends with its scope, inside another as well, and takes batches of one where none normalise") {
        nn::BatchNorm1d layer(3);
        layer.set_running_statistics(Tensor::full({3}, 0), Tensor::full({3}, 1));
        layer.evaluate();
        Tape tape;
        nn::Measuring outer(layer);
        {
            nn::Measuring inner(layer);
            layer(tape.constant(Tensor::full({1, 3}, 2)));
            CHECK(inner.measured()[0].batches.size() == 1);
        }
        CHECK(outer.measured()[0].batches.empty());
        layer(tape.constant(Tensor::full({1, 3}, 3)));
        REQUIRE(outer.measured()[0].batches.size() == 1);
        CHECK(distance(outer.measured()[0].batches[0].mean.value(), {3, 3, 3}) == 0);
        CHECK(distance(outer.measured()[0].batches[0].variance.value(), {0, 0, 0}) == 0);
    }

    TEST_CASE("statistics per time step follow where a step has two values or more, and stay where it has not") {
        Tensor x = Tensor::of<float>({3, 2, 1}, {1, 3, 5, 5, 10, 20});
        for (std::optional<double> momentum : {std::optional(0.5), std::optional<double>()}) {
            StepNorm layer(3, 1, momentum, Tensor::of<double>({3, 1}, {2, 1, 0}));
            CHECK(layer.batches_seen() == 0);
            for (int step = 0; step < 2; ++step) {
                Tape tape;
                layer(tape.constant(x));
                layer(tape.constant(x));
                commit(tape);
                CHECK(layer.batches_seen() == step + 1);
            }
            CHECK(distance(layer.running_mean(), {momentum ? 1.5 : 2.0, 0, 0}) == 0);
            CHECK(distance(layer.running_variance(), {momentum ? 1.75 : 2.0, 1, 1}) == 0);
            CHECK(distance(layer.statistics()[2].state.value(), {2, 0, 0}) == 0);
        }
    }

    TEST_CASE("statistics per time step are set together, and a negative variance is named with its step") {
        StepNorm layer(2, 3, 0.1, Tensor::of<double>({2, 1}, {4, 4}));
        CHECK_THROWS_WITH_AS(
            layer.set_running_statistics(Tensor::full({2, 3}, 0), Tensor::of<float>({2, 3}, {1, 1, 1, 1, -2, 1})),
            "StepNorm: the running variance of channel 1 at step 1 must not be negative, got -2", ValueError);
        CHECK(layer.batches_seen() == 0);
        layer.set_running_statistics(Tensor::full({2, 3}, 0), Tensor::full({2, 3}, 2));
        CHECK(layer.batches_seen() == 1);
        CHECK(distance(layer.statistics()[2].state.value(), {1, 1}) == 0);
    }
}

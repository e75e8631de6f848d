#include <cotape/nn/audit.hpp>

#include <functional>
#include <memory>

#include <doctest/doctest.h>

#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/batch_norm_lstm.hpp>
#include <cotape/nn/convolution.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/pooling.hpp>
#include <cotape/nn/sequential.hpp>

#include "show.hpp"
#include "standard_error.hpp"

using namespace cotape;
using namespace cotape::testing;
using nn::Fault;

namespace {

/// A net and the data that it learns from.
struct Subject {
    std::string name;
    /// Of one batch.
    Shape batch;
    std::function<std::unique_ptr<nn::Module>(std::optional<double> momentum, std::mt19937&)> make;
};

constexpr std::int64_t steps = 6, inputs = 5;

std::vector<Subject> subjects() {
    return {
        {"linear",
         {24, 9},
         [](std::optional<double> momentum, std::mt19937& random) -> std::unique_ptr<nn::Module> {
             return std::make_unique<nn::Sequential>(nn::Linear(9, 7, random),
                                                     nn::BatchNorm1d(7, {.momentum = momentum}), nn::Tanh(),
                                                     nn::Linear(7, 4, random),
                                                     nn::BatchNorm1d(4, {.momentum = momentum}));
         }},
        {"convolutional",
         {12, 2, 7, 6},
         [](std::optional<double> momentum, std::mt19937& random) -> std::unique_ptr<nn::Module> {
             return std::make_unique<nn::Sequential>(nn::Conv2d(2, 4, 3, {.padding = 1}, random),
                                                     nn::BatchNorm2d(4, {.momentum = momentum}), nn::Relu(),
                                                     nn::MaxPool2d(2), nn::Conv2d(4, 3, 2, random),
                                                     nn::BatchNorm2d(3, {.momentum = momentum}));
         }},
        {"recurrent",
         {steps, 24, inputs},
         [](std::optional<double> momentum, std::mt19937& random) -> std::unique_ptr<nn::Module> {
             return std::make_unique<nn::BatchNormLSTM>(inputs, 12, steps,
                                                        nn::BatchNormLSTMOptions{.norm = {.momentum = momentum}},
                                                        random);
         }},
    };
}

/// Batches of numbers around `mean`.
std::vector<Tensor> data(const Shape& shape, int count, std::mt19937& random, double mean = 1) {
    std::vector<Tensor> batches;
    for (int i = 0; i < count; ++i) batches.push_back(nn::normal(shape, mean, 2, random));
    return batches;
}

/// Checks that every normaliser, or the first alone, has the fault and no other; those behind the first may be spared.
void check(const nn::AuditReport& report, Fault fault, bool first_alone = false) {
    INFO(to_string(report));
    for (const nn::NormalizerAudit& audit : report.normalizers) {
        bool first = audit.path == report.normalizers[0].path;
        if (first) CHECK(audit.diagnoses.size() == 1);
        CHECK(audit.diagnoses.size() <= (first || !first_alone ? 1 : 0));
        for (const nn::Diagnosis& diagnosis : audit.diagnoses) CHECK(diagnosis.fault == fault);
    }
}

/// Calls `body` with each net, several seeds and each momentum.
void for_each_net(const std::vector<std::optional<double>>& momenta,
                  const std::function<void(nn::Module&, const Shape& batch, std::mt19937&)>& body) {
    for (const Subject& subject : subjects())
        for (std::optional<double> momentum : momenta)
            for (std::uint32_t seed : {1u, 2u}) {
                CAPTURE(subject.name);
                CAPTURE(momentum.value_or(-1));
                CAPTURE(seed);
                std::mt19937 random(seed);
                std::unique_ptr<nn::Module> net = subject.make(momentum, random);
                body(*net, subject.batch, random);
            }
}

const std::vector<std::optional<double>> usual{0.05, 0.2, std::nullopt};

nn::Normalizer& first_of(nn::Module& net) { return *nn::normalizers(net)[0].normalizer; }

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("healthy nets of every kind get no diagnosis") {
        for_each_net(usual, [](nn::Module& net, const Shape& batch, std::mt19937& random) {
            show(net, data(batch, 200, random));
            nn::AuditReport report = nn::audit(net, data(batch, 20, random));
            CHECK_MESSAGE(report.is_healthy(), to_string(report));
        });
    }

    TEST_CASE("planted in nets of every kind: evaluate() was forgotten") {
        for_each_net({0.1}, [](nn::Module& net, const Shape& batch, std::mt19937& random) {
            show(net, data(batch, 200, random));
            net.train();
            check(nn::audit(net, data(batch, 20, random)), Fault::training_mode);
        });
    }

    TEST_CASE("planted in nets of every kind: too few batches") {
        for (int seen : {1, 3, 8})
            for_each_net({0.03, 0.1}, [&](nn::Module& net, const Shape& batch, std::mt19937& random) {
                show(net, data(batch, seen, random));
                check(nn::audit(net, data(batch, 20, random)), Fault::too_few_batches);
            });
        for_each_net({0.1}, [](nn::Module& net, const Shape& batch, std::mt19937& random) {
            StandardErrorCapture capture;
            net.evaluate();
            check(nn::audit(net, data(batch, 20, random)), Fault::too_few_batches);
        });
    }

    TEST_CASE("planted in nets of every kind: a momentum of the other convention, or one that is far too small") {
        for_each_net({0.0, 0.002, 0.9, 0.99, 1.0}, [](nn::Module& net, const Shape& batch, std::mt19937& random) {
            show(net, data(batch, 200, random));
            check(nn::audit(net, data(batch, 20, random)), Fault::wrong_momentum);
        });
    }

    TEST_CASE("planted in nets of every kind: frozen by mistake") {
        for (bool by_use : {true, false})
            for_each_net({0.1}, [&](nn::Module& net, const Shape& batch, std::mt19937& random) {
                nn::Normalizer& first = first_of(net);
                const Shape shape = first.running_mean().shape();
                first.set_running_statistics(Tensor::full(shape, 0), Tensor::full(shape, 1));
                if (by_use)
                    first.use(nn::Statistics::population);
                else
                    first.update(nn::Update::never);
                show(net, data(batch, 200, random));
                check(nn::audit(net, data(batch, 20, random)), Fault::frozen, true);
            });
    }

    TEST_CASE("planted in nets of every kind: data of another distribution, whatever the momentum") {
        for_each_net({0.05, 0.3, 0.9, std::nullopt}, [&](nn::Module& net, const Shape& batch, std::mt19937& random) {
            show(net, data(batch, 200, random));
            nn::AuditReport report = nn::audit(net, data(batch, 20, random, random() % 2 ? -3 : 5));
            INFO(to_string(report));
            REQUIRE_FALSE(report.normalizers[0].diagnoses.empty());
            CHECK(report.normalizers[0].diagnoses[0].fault == Fault::distribution_shift);
        });
    }

    TEST_CASE("time steps that training reached too seldom, or never, are named") {
        std::mt19937 random(1);
        auto audit_after = [&](int long_sequences) {
            nn::BatchNormLSTM net(inputs, 12, steps, random);
            show(net, data({steps - 1, 24, inputs}, 200, random));
            show(net, data({steps, 24, inputs}, long_sequences, random));
            return nn::audit(net, data({steps, 24, inputs}, 20, random)).normalizers[0];
        };
        // The weights are the same at all steps, and so are these data: a step that was never reached borrows well.
        CHECK(audit_after(0).diagnoses.empty());
        nn::NormalizerAudit seldom = audit_after(2);
        REQUIRE(seldom.diagnoses.size() == 1);
        CHECK(seldom.diagnoses[0].fault == Fault::too_few_batches);
        CHECK(seldom.diagnoses[0].cause.starts_with("the running statistics hold 2 batches at time step 5, and the "
                                                    "initial values weigh 81 %; the running mean is "));

        nn::RecurrentBatchNorm layer(inputs, 2);
        show(layer, data({1, 24, inputs}, 200, random));
        std::vector<Tensor> rising = data({2, 24, inputs}, 20, random);
        for (Tensor& batch : rising)
            batch = Tensor::make<float>(batch.shape(), [&](std::span<float> x) {
                for (std::size_t i = 0; i < x.size(); ++i)
                    x[i] = batch.elements<float>()[i] + (i < x.size() / 2 ? 0 : 9);
            });
        nn::AuditReport report = nn::audit(layer, rising);
        REQUIRE(report.normalizers[0].diagnoses.size() == 1);
        CHECK(report.normalizers[0].diagnoses[0].fault == Fault::too_few_batches);
        CHECK(report.normalizers[0].diagnoses[0].cause.starts_with(
            "no batch reached time step 1 in training: those of another step stand for its statistics; the running "));
    }

    TEST_CASE("an audit calls a net with masks, as its user does") {
        std::mt19937 random(1);
        nn::BatchNormLSTM net(inputs, 12, steps, random);
        Tensor mask = nn::padding_mask({6, 2, 5, 6, 1, 6, 4, 3, 2, 6, 5, 5}, steps);
        auto forward = [&](Var x) { return net.unroll(x, {.mask = mask}).outputs; };
        for (const Tensor& batch : data({steps, 12, inputs}, 200, random)) {
            Tape tape;
            forward(tape.constant(batch));
            commit(tape);
        }
        net.evaluate();
        nn::Auditor auditor(net);
        for (const Tensor& batch : data({steps, 12, inputs}, 20, random)) auditor.add(batch, forward);
        nn::AuditReport report = auditor.report();
        CHECK_MESSAGE(report.is_healthy(), to_string(report));
        CHECK(report.population.layers[0].count.at(steps - 1) == 20 * 4);
    }

    TEST_CASE("planted in nets of every kind: a channel whose variance is near epsilon") {
        for_each_net({0.1}, [](nn::Module& net, const Shape& batch, std::mt19937& random) {
            State weight = net.parameters()[0].state;
            std::int64_t row = weight.value().size() / weight.type().shape[0];
            weight.assign(Tensor::make<float>(weight.type().shape, [&](std::span<float> elements) {
                for (std::size_t i = 0; i < elements.size(); ++i)
                    elements[i] = static_cast<std::int64_t>(i) / row == 2 ? 1e-5f : weight.value().elements<float>()[i];
            }));
            show(net, data(batch, 200, random));
            nn::AuditReport report = nn::audit(net, data(batch, 20, random));
            check(report, Fault::small_variance, true);
            CHECK(report.normalizers[0].small_variance_channels == std::vector<std::int64_t>{2});
        });
    }
}

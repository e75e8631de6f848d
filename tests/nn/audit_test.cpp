#include <cotape/nn/audit.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/nn/sgd.hpp>
#include <cotape/ops/losses.hpp>

#include "numbers.hpp"
#include "show.hpp"
#include "snapshot.hpp"
#include "standard_error.hpp"
#include "step_norm.hpp"

using namespace cotape;
using namespace cotape::testing;
using nn::Fault;

namespace {

/// Batches of 32 rows of 4 around `mean`.
std::vector<Tensor> data(int count, double mean = 1, std::uint32_t seed = 7) {
    std::mt19937 random(seed);
    std::vector<Tensor> batches;
    for (int i = 0; i < count; ++i) batches.push_back(nn::normal({32, 4}, mean, 2, random));
    return batches;
}

nn::Sequential make_net(const nn::BatchNormOptions& options = {}) {
    std::mt19937 random(3);
    return nn::Sequential(nn::Linear(4, 6, {.bias = false}, random), nn::BatchNorm1d(6, options), nn::Relu(),
                          nn::Linear(6, 3, random), nn::BatchNorm1d(3, options));
}

/// Takes a step on each batch, towards labels that depend on it.
void train(nn::Module& net, const std::vector<Tensor>& batches, double learning_rate) {
    nn::Sgd optimizer(net, {.learning_rate = learning_rate});
    net.train();
    for (const Tensor& batch : batches) {
        std::vector<std::int64_t> labels;
        for (std::int64_t row = 0; row < 32; ++row) labels.push_back(batch.at(4 * row) > 1 ? 1 : 2 * (row % 2));
        Tape tape;
        optimizer.step(cross_entropy(net(tape.constant(batch)), Tensor::of<std::int64_t>({32}, labels)));
    }
    net.evaluate();
}

/// The faults found, normaliser by normaliser.
std::vector<std::vector<Fault>> faults(const nn::AuditReport& report) {
    std::vector<std::vector<Fault>> found;
    for (const nn::NormalizerAudit& audit : report.normalizers) {
        found.emplace_back();
        for (const nn::Diagnosis& diagnosis : audit.diagnoses) found.back().push_back(diagnosis.fault);
    }
    return found;
}

using Found = std::vector<std::vector<Fault>>;

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a healthy model gets no diagnosis, with either average, and an audit leaves it as it was") {
        for (std::optional<double> momentum : {std::optional(0.1), std::optional(0.03), std::optional<double>()}) {
            nn::Sequential net = make_net({.momentum = momentum});
            show(net, data(150));
            Snapshot before(net);
            nn::AuditReport report = nn::audit(net, data(20, 1, 8));
            INFO(to_string(report));
            CHECK(report.is_healthy());
            CHECK(report.normalizers[0].batches_seen == 150);
            CHECK(report.output_gap < 0.3); // batches of 32: each statistic is off by a sixth of a standard deviation
            CHECK(before.is_current());
            CHECK_FALSE(net.is_training());
        }
    }

    TEST_CASE("a model that was trained with steps gets no diagnosis") {
        nn::Sequential net = make_net();
        std::vector<Tensor> batches = data(50);
        for (int epoch = 0; epoch < 4; ++epoch) train(net, batches, 0.1);
        nn::AuditReport report = nn::audit(net, batches);
        INFO(to_string(report));
        CHECK(report.is_healthy());
    }

    TEST_CASE("a net after its first steps has seen too few batches, not other data, though its weights moved fast") {
        for (int steps : {5, 10, 20, 35}) {
            nn::Sequential net = make_net();
            train(net, data(steps), 2);
            nn::AuditReport report = nn::audit(net, data(20, 1, 8));
            INFO(to_string(report));
            CHECK_FALSE(report.is_healthy());
            for (const std::vector<Fault>& found : faults(report))
                for (Fault fault : found) CHECK(fault == Fault::too_few_batches);
        }
    }

    TEST_CASE("planted: evaluate() was forgotten") {
        nn::Sequential net = make_net();
        show(net, data(150));
        net.train();
        CHECK(faults(nn::audit(net, data(20, 1, 8))) == Found{{Fault::training_mode}, {Fault::training_mode}});
        CHECK(net.is_training());
        net.evaluate();
        dynamic_cast<nn::BatchNorm1d&>(net[4]).use(nn::Statistics::batch);
        CHECK(faults(nn::audit(net, data(20, 1, 8))) == Found{{}, {Fault::training_mode}});
    }

    TEST_CASE("planted: too few batches, or none") {
        nn::Sequential net = make_net();
        show(net, data(5));
        nn::AuditReport report = nn::audit(net, data(20, 1, 8));
        CHECK(faults(report) == Found{{Fault::too_few_batches}, {Fault::too_few_batches}});
        CHECK(report.normalizers[0].diagnoses[0].cause.starts_with(
            "the running statistics hold 5 batches, and the initial values weigh 59 %; the running mean is "));
        StandardErrorCapture capture;
        nn::Sequential never = make_net();
        never.evaluate();
        CHECK(faults(nn::audit(never, data(20, 1, 8))) == Found{{Fault::too_few_batches}, {Fault::too_few_batches}});
    }

    TEST_CASE("where statistics were set, other data are a shift: nothing of the initial values is left") {
        for (std::optional<double> momentum : {std::optional(0.1), std::optional<double>()})
            for (int count : {1, 10}) {
                nn::Sequential net = make_net({.momentum = momentum});
                nn::population_statistics(net, data(count)).apply(net);
                net.evaluate();
                CHECK(nn::audit(net, data(count)).is_healthy());
                nn::AuditReport report = nn::audit(net, data(20, 7, 8));
                INFO(to_string(report));
                CHECK(faults(report)[0] == std::vector{Fault::distribution_shift});
                CHECK(report.normalizers[0].batches_seen == count);
            }
        nn::BatchNorm1d layer(4);
        layer.set_running_statistics(Tensor::full({4}, 1), Tensor::full({4}, 4));
        layer.evaluate();
        CHECK(nn::audit(layer, data(20)).is_healthy());
        CHECK(faults(nn::audit(layer, data(20, 7))) == Found{{Fault::distribution_shift}});
    }

    TEST_CASE("planted: a momentum of the other convention, or one that is far too small") {
        nn::Sequential net = make_net({.momentum = 0.9}), slow = make_net({.momentum = 0.001});
        show(net, data(150));
        CHECK(faults(nn::audit(net, data(20, 1, 8))) == Found{{Fault::wrong_momentum}, {Fault::wrong_momentum}});
        show(slow, data(150));
        CHECK(faults(nn::audit(slow, data(20, 1, 8))) == Found{{Fault::wrong_momentum}, {Fault::wrong_momentum}});
    }

    TEST_CASE("planted: frozen by mistake, by either switch") {
        for (bool by_use : {true, false}) {
            nn::Sequential net = make_net();
            auto& first = dynamic_cast<nn::BatchNorm1d&>(net[1]);
            first.set_running_statistics(Tensor::full({6}, 0), Tensor::full({6}, 1));
            if (by_use)
                first.use(nn::Statistics::population);
            else
                first.update(nn::Update::never);
            show(net, data(150));
            nn::AuditReport report = nn::audit(net, data(20, 1, 8));
            INFO(to_string(report));
            CHECK(faults(report) == Found{{Fault::frozen}, {}});
        }
    }

    TEST_CASE("a normaliser that is frozen with the right statistics is healthy") {
        nn::Sequential net = make_net();
        show(net, data(150));
        for (std::size_t i : {1, 4}) dynamic_cast<nn::BatchNorm1d&>(net[i]).use(nn::Statistics::population);
        CHECK(nn::audit(net, data(20, 1, 8)).is_healthy());
    }

    TEST_CASE("planted: data of another distribution than the training's") {
        nn::Sequential net = make_net();
        show(net, data(150));
        nn::AuditReport report = nn::audit(net, data(20, 4, 8));
        INFO(to_string(report));
        // Behind the first normaliser, which centres them in the sweep, the data are as they were.
        CHECK(faults(report) == Found{{Fault::distribution_shift}, {}});
        CHECK(report.output_gap > 0.5);
        report.population.apply(net);
        CHECK(nn::audit(net, data(20, 4, 8)).is_healthy());
    }

    TEST_CASE("planted: a unit whose variance is near epsilon") {
        nn::Sequential net = make_net();
        Tensor weight = net.parameters()[0].state.value();
        std::vector<double> elements = elements_of(weight);
        std::fill(elements.begin() + 8, elements.begin() + 12, 1e-5);
        net.parameters()[0].state.assign(Tensor::of<double>({6, 4}, elements).as(Dtype::float32));
        show(net, data(150));
        nn::AuditReport report = nn::audit(net, data(20, 1, 8));
        CHECK(faults(report) == Found{{Fault::small_variance}, {}});
        CHECK(report.normalizers[0].small_variance_channels == std::vector<std::int64_t>{2});
    }

    TEST_CASE("a time step without variance is no fault where others vary") {
        StepNorm layer(2, 1, 0.1, Tensor::of<double>({2, 1}, {4, 4}));
        Tensor x = Tensor::of<float>({2, 4, 1}, {3, 3, 3, 3, 1, 2, 4, 7});
        show(layer, std::vector<Tensor>(100, x));
        nn::AuditReport report = nn::audit(layer, std::vector<Tensor>{x});
        CHECK(report.normalizers[0].path == "");
        CHECK(report.normalizers[0].small_variance_channels.empty());
    }

    TEST_CASE("an audit prints a row for each normaliser and what to do") {
        nn::Sequential net = make_net();
        show(net, data(150));
        net.train();
        std::string text = to_string(nn::audit(net, data(20, 1, 8)));
        CHECK(text.starts_with("normaliser  batches  mean off  variance off  small variance  diagnosis\n"
                               "1               150     0."));
        CHECK(text.find("  training mode\n") != std::string::npos);
        CHECK(text.find("output gap between the modes: 0.") != std::string::npos);
        CHECK(
            text.find("4: training mode: it is in training mode.\n    Remedy: call evaluate() on the model, or hold an "
                      "nn::Evaluating, before it predicts.\n") != std::string::npos);
    }

    TEST_CASE("outputs that do not vary, or are not finite, have no gap that is a number") {
        nn::Sequential net = make_net();
        show(net, data(150));
        State scale = net.parameters()[5].state, shift = net.parameters()[6].state;
        scale.assign(Tensor::full({3}, 0));
        CHECK(nn::audit(net, data(20)).output_gap == 0);
        shift.assign(Tensor::full({3}, 7)); // in every channel, so that the outputs vary nowhere
        nn::AuditReport constant = nn::audit(net, data(20));
        CHECK(constant.output_gap == 0);
        CHECK(to_string(constant).find("output gap between the modes: 0.000 standard deviations\n") !=
              std::string::npos);
        shift.assign(Tensor::full({3}, NAN));
        nn::AuditReport undefined = nn::audit(net, data(20));
        CHECK(std::isnan(undefined.output_gap));
        CHECK(to_string(undefined).find("output gap between the modes: none to be had, for some outputs are not "
                                        "finite\n") != std::string::npos);

        nn::BatchNorm1d two(1, {.affine = false}); // of two values that differ, both are 1 away from 0, less epsilon
        two.evaluate();
        two.set_running_statistics(Tensor::full({1}, 5), Tensor::full({1}, 1));
        nn::Sequential squares(std::move(two), nn::Relu());
        squares.evaluate();
        nn::AuditReport infinite = nn::audit(squares, std::vector<Tensor>{Tensor::full({2, 1}, 6)});
        CHECK(std::isinf(infinite.output_gap));
        CHECK(to_string(infinite).find("output gap between the modes: infinite, for with the batch's statistics the "
                                       "outputs do not vary\n") != std::string::npos);
    }

    TEST_CASE("an audit says in numbers what momentum did") {
        auto cause = [](std::optional<double> momentum, int batches, double mean) {
            nn::BatchNorm1d layer(4, {.momentum = momentum});
            show(layer, data(batches));
            nn::Diagnosis found = nn::audit(layer, data(20, mean, 8)).normalizers[0].diagnoses.at(0);
            return found.cause.substr(0, found.cause.find("the running mean is"));
        };
        CHECK(cause(1, 60, 1) ==
              "momentum 1 weighs the new value, so that the last batch of 32 values all but make up the "
              "running statistics; ");
        CHECK(cause(0.9, 60, 1) == "momentum 0.9 weighs the new value, so that the last 2 batches of 32 values all but "
                                   "make up the running statistics; ");
        CHECK(cause(0, 60, 1) == "with momentum 0 the initial values still weigh 100 % after 60 batches; ");
        CHECK(cause({}, 1, 1) == "the running statistics hold 1 batch of 32 values; ");
        CHECK(cause({}, 60, 4) ==
              "the running statistics hold 60 batches, but not of data like these, or, being a plain "
              "average, of the net as it was earlier: ");
        CHECK(cause(0.1, 60, 4) == "the running statistics hold 60 batches, but not of data like these: ");
    }

    TEST_CASE("a model without normalisers is healthy and has no gap, and an audit needs a batch") {
        std::mt19937 random(1);
        nn::Linear linear(4, 2, random);
        nn::AuditReport report = nn::audit(linear, data(2));
        CHECK(report.is_healthy());
        CHECK(report.output_gap < 1e-6); // one pass is in float32, the other in float64
        CHECK_THROWS_WITH_AS(nn::audit(linear, std::vector<Tensor>{}),
                             "population_statistics: needs at least one batch, got none", ValueError);
    }
}

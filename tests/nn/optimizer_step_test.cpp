#include <cotape/nn/optimizer.hpp>

#include <stdexcept>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/adam.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/schedules.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/nn/sgd.hpp>

#include "numbers.hpp"
#include "quadratic.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

nn::Sequential make_net(std::uint32_t seed = 1) {
    std::mt19937 random(seed);
    return nn::Sequential(nn::Linear(4, 3, {.bias = false}, random), nn::BatchNorm1d(3), nn::Tanh(),
                          nn::Linear(3, 2, random));
}

/// Every state of a net and its optimiser: values and versions.
struct Everything {
    std::vector<Tensor> values;
    std::vector<std::uint64_t> versions;

    Everything(nn::Module& net, const nn::Optimizer& optimizer) {
        auto add = [&](const State& state) {
            values.push_back(state.value());
            versions.push_back(state.version());
        };
        for (const auto& named : net.parameters()) add(named.state);
        for (const auto& named : net.statistics()) add(named.state);
        for (const auto& named : optimizer.state()) add(named.state);
    }
    bool operator==(const Everything& other) const {
        return versions == other.versions && std::ranges::equal(values, other.values, same_bits);
    }
};

/// Gives way at the third parameter.
class Breaking : public nn::Optimizer {
  public:
    explicit Breaking(nn::Module& model) : Optimizer("Breaking", model, 0.1, {"memory"}) {}

  protected:
    Var update(const Slot& slot, Var parameter, Var gradient, Var rate) override {
        if (++updates_ == 3) throw std::runtime_error("gave way");
        parameter.tape().propose(slot.states[0], gradient);
        return parameter - rate * gradient;
    }

  private:
    int updates_ = 0;
};

/// The identity, whose value cannot be computed.
const Op failing_op{.name = "failing",
                    .type = [](const Call& call) { return call.type(0); },
                    .kernel = [](const Call&, const Type&, std::span<const Tensor>) -> Tensor {
                        throw std::runtime_error("the kernel failed");
                    },
                    .derivative = [](const Rule& rule) { return rule.g; }};

Var loss_of(nn::Module& net, Tape& tape) { return sum(square(net(tape.constant(scattered({5, 4}))))); }

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a step commits parameters, moments and running statistics once, and leaves the loss computed") {
        nn::Sequential net = make_net();
        nn::Adam optimizer(net);
        Everything before(net, optimizer);
        Tape tape;
        Var loss = loss_of(net, tape);
        optimizer.step(loss);
        CHECK_FALSE(tape.computed(loss.id()).empty());
        Everything after(net, optimizer);
        for (std::size_t i = 0; i < before.versions.size(); ++i) {
            CHECK(after.versions[i] == before.versions[i] + 1);
            CHECK_FALSE(same_bits(after.values[i], before.values[i]));
        }
        CHECK(optimizer.steps() == 1);
    }

    TEST_CASE("moments are updated in place, and what was not asked for can still be read after the step") {
        nn::Sequential net = make_net();
        nn::Adam adam(net, {.learning_rate = 0.1});
        std::vector<std::uintptr_t> places;
        for (const auto& named : adam.state()) places.push_back(named.state.value().identity());
        for (int i = 0; i < 3; ++i) {
            Tape tape({.evaluator = Evaluator::fused});
            Var y = net(tape.constant(scattered({5, 4}))), loss = sum(square(y));
            Tensor before = net(Tape().constant(scattered({5, 4}))).value();
            adam.step(loss);
            CHECK(same_bits(y.value(), before));
            CHECK(tape.memory_plan().steps.size() > 3);
        }
        for (std::size_t i = 0; i < places.size(); ++i) CHECK(adam.state()[i].state.value().identity() == places[i]);
    }

    TEST_CASE("a second step on the same tape is refused: the loss is that of the parameters before") {
        nn::Sequential net = make_net();
        nn::Sgd optimizer(net);
        Tape tape;
        Var loss = loss_of(net, tape);
        optimizer.step(loss);
        Everything before(net, optimizer);
        CHECK_THROWS_AS(optimizer.step(loss), TapeError);
        CHECK(before == Everything(net, optimizer));
        CHECK(optimizer.steps() == 1);
        tape.clear();
        optimizer.step(loss_of(net, tape));
        CHECK(optimizer.steps() == 2);
    }

    TEST_CASE("where an update rule throws in mid-step, nothing changes") {
        nn::Sequential net = make_net();
        Breaking optimizer(net);
        Everything before(net, optimizer);
        Tape tape;
        Var loss = loss_of(net, tape);
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(optimizer.step(loss), "gave way", std::runtime_error);
        CHECK(before == Everything(net, optimizer));
        CHECK(optimizer.steps() == 0);
        CHECK(tape.size() == size);
        for (const auto& [path, state] : net.parameters()) CHECK_FALSE(tape.has_proposal(state));
        CHECK(tape.has_proposal(net.statistics()[0].state));
        optimizer.step(loss);
        CHECK(optimizer.steps() == 1);
        CHECK_FALSE(before == Everything(net, optimizer));
    }

    TEST_CASE("where a kernel throws in mid-step, nothing changes") {
        nn::Sequential net = make_net();
        nn::Adam optimizer(net);
        Everything before(net, optimizer);
        Tape tape;
        Var loss = loss_of(net, tape);
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(optimizer.step(record(failing_op, {loss})), "the kernel failed", std::runtime_error);
        CHECK(before == Everything(net, optimizer));
        CHECK(optimizer.steps() == 0);
        CHECK(tape.size() == size + 1);
    }

    TEST_CASE("where finite-check mode finds a NaN in mid-step, nothing changes") {
        nn::Sequential net = make_net();
        nn::Sgd optimizer(net, {.momentum = 0.9});
        Everything before(net, optimizer);
        Tape tape({.check_finite = true});
        Tensor bad = Tensor::make<float>({5, 4}, [](std::span<float> elements) {
            std::ranges::fill(elements, 1.0f);
            elements[7] = NAN;
        });
        CHECK_THROWS_AS(optimizer.step(sum(net(tape.constant(bad)))), NonFiniteError);
        CHECK(before == Everything(net, optimizer));
        CHECK(optimizer.steps() == 0);
    }

    TEST_CASE("where a state was changed by hand in mid-step, nothing is committed") {
        nn::Sequential net = make_net();
        nn::Sgd optimizer(net);
        Tape tape;
        Var loss = loss_of(net, tape);
        net.statistics()[1].state.assign(Tensor::full({3}, 7));
        Everything before(net, optimizer);
        CHECK_THROWS_AS(optimizer.step(loss), TapeError);
        CHECK(before == Everything(net, optimizer));
    }

    TEST_CASE("an optimiser refuses parameters without a gradient, by name, unless they may be missing") {
        nn::Sequential net = make_net();
        nn::Adam optimizer(net);
        Everything before(net, optimizer);
        Tape tape;
        Var loss = sum(square(net[0](tape.constant(scattered({5, 4})))));
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(optimizer.step(loss),
                             "Adam: the loss does not depend on 1.weight, 1.bias, 3.weight, 3.bias", ValueError);
        CHECK(before == Everything(net, optimizer));
        CHECK(optimizer.steps() == 0);
        CHECK(tape.size() == size);
        optimizer.step(loss, {.allow_missing = true});
        Everything after(net, optimizer);
        CHECK(after.versions[0] == before.versions[0] + 1);
        for (std::size_t i = 1; i < 5; ++i) CHECK(after.versions[i] == before.versions[i]);
    }

    TEST_CASE("an optimiser refuses a loss that is not a scalar, and a model without parameters") {
        nn::Sequential net = make_net();
        nn::Sgd optimizer(net);
        Tape tape;
        CHECK_THROWS_WITH_AS(optimizer.step(net(tape.constant(scattered({5, 4})))),
                             "Sgd: the loss must be a scalar, got [5, 2]", ShapeError);
        nn::Sequential empty((nn::Relu()));
        CHECK_THROWS_WITH_AS(nn::Sgd{empty}, "Sgd: the model has no parameters; its visit must show them", ValueError);
    }

    TEST_CASE("the learning rate can be set between steps, by a schedule too, and must be finite and not negative") {
        Quadratic model;
        nn::Sgd optimizer(model);
        CHECK(optimizer.learning_rate() == 0.01);
        nn::Schedule schedule = nn::step_schedule(0.4, 0, 1);
        for (int step = 0; step < 2; ++step) {
            Tape tape;
            optimizer.set_learning_rate(schedule(optimizer.steps()));
            optimizer.step(model.loss(tape));
        }
        CHECK(model.value().at(0) == doctest::Approx(1 - 0.4 * 2));
        CHECK(optimizer.learning_rate() == 0);
        for (double rate : {-1.0, double(NAN), double(INFINITY)})
            CHECK_THROWS_AS(optimizer.set_learning_rate(rate), ValueError);
        CHECK_THROWS_WITH_AS(optimizer.set_learning_rate(-1),
                             "Sgd: learning_rate must be finite and not negative, got -1", ValueError);
        CHECK(optimizer.learning_rate() == 0);
    }

    TEST_CASE("the learning rate and the bias corrections change the values, not the graph") {
        nn::Sequential net = make_net();
        nn::Adam optimizer(net);
        std::vector<std::size_t> sizes;
        for (int step = 0; step < 5; ++step) {
            Tape tape;
            optimizer.set_learning_rate(0.1 / (step + 1));
            optimizer.step(loss_of(net, tape));
            sizes.push_back(tape.size());
        }
        CHECK(sizes == std::vector<std::size_t>(5, sizes.front()));
    }
}

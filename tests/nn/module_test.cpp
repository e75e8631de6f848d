#include <cotape/nn/module.hpp>

#include <doctest/doctest.h>

#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/dropout.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/nn/sgd.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

template <class Kind>
std::vector<std::string> paths(const std::vector<nn::Named<Kind>>& list) {
    std::vector<std::string> names;
    for (const nn::Named<Kind>& named : list) names.push_back(named.path);
    return names;
}

using Paths = std::vector<std::string>;

/// A module as a user writes one: parts, a parameter and a statistic of its own.
class Residual : public nn::Module {
  public:
    explicit Residual(std::mt19937& random) : inner_(nn::Linear(3, 3, random), nn::BatchNorm1d(3), nn::Relu()) {}

    void visit(nn::Visitor& visitor) override {
        visitor("inner", inner_);
        visitor("gain", gain_);
        visitor("calls", calls_);
    }
    std::string describe() const override { return "Residual"; }
    nn::Sequential& inner() { return inner_; }

  protected:
    Var forward(Var x) override { return x + x.tape().variable(gain_) * inner_(x); }

  private:
    nn::Sequential inner_;
    nn::Parameter gain_{Tensor(1.0f)};
    State calls_{Tensor(0.0f)};
};

/// A layer and another name for its weight, as tied weights are.
class Tied : public nn::Module {
  public:
    explicit Tied(std::mt19937& random) : layer_(3, 3, {.bias = false}, random), transposed_(layer_.weight()) {}

    void visit(nn::Visitor& visitor) override {
        visitor("layer", layer_);
        visitor("transposed", transposed_);
    }
    std::string describe() const override { return "Tied"; }

  protected:
    Var forward(Var x) override { return layer_(x) * mean(x.tape().variable(transposed_)); }

  private:
    nn::Linear layer_;
    nn::Parameter transposed_;
};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a module lists its parameters and statistics with their paths, in order") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(4, 3, {.bias = false}, random), nn::BatchNorm1d(3), nn::Relu(),
                           nn::Linear(3, 2, random));
        CHECK(paths(net.parameters()) == Paths{"0.weight", "1.weight", "1.bias", "3.weight", "3.bias"});
        CHECK(paths(net.statistics()) == Paths{"1.running_mean", "1.running_var", "1.num_batches_tracked"});
        CHECK(net.parameter_count() == 12 + 3 + 3 + 6 + 2);
    }

    TEST_CASE("a user's module is composed of parts and has members of its own") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(2, 3, random), Residual(random));
        CHECK(paths(net.parameters()) == Paths{"0.weight", "0.bias", "1.inner.0.weight", "1.inner.0.bias",
                                               "1.inner.1.weight", "1.inner.1.bias", "1.gain"});
        CHECK(paths(net.statistics()) ==
              Paths{"1.inner.1.running_mean", "1.inner.1.running_var", "1.inner.1.num_batches_tracked", "1.calls"});
        Tape tape;
        Var x = tape.variable(scattered({4, 2}));
        nn::Sgd optimizer(net);
        optimizer.step(sum(net(x)));
        CHECK(net.parameters()[6].state.value().item() != 1);
    }

    TEST_CASE("a state that two parts share is listed once, under its first path, and counted once") {
        std::mt19937 random(1);
        Tied module(random);
        CHECK(paths(module.parameters()) == Paths{"layer.weight"});
        CHECK(module.parameter_count() == 9);
        Tape tape;
        nn::Sgd optimizer(module);
        optimizer.step(sum(module(tape.constant(scattered({4, 3})))));
        CHECK(optimizer.steps() == 1);
    }

    TEST_CASE("parameter handles share the state and stay good when the module moves") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(2, 2, random));
        std::vector<nn::Named<nn::Parameter>> before = net.parameters();
        nn::Sequential moved = std::move(net);
        before[0].state.assign(Tensor::full({2, 2}, 5));
        CHECK(distance(moved.parameters()[0].state.value(), {5, 5, 5, 5}) == 0);
        CHECK(moved.parameters()[0].state.id() == before[0].state.id());
    }

    TEST_CASE("a net may move after its optimiser was made") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(3, 2, random), nn::BatchNorm1d(2));
        nn::Sgd optimizer(net);
        nn::Sequential moved = std::move(net);
        std::vector<double> before = elements_of(moved.parameters()[2].state.value());
        Tape tape;
        optimizer.step(sum(square(moved(tape.constant(scattered({4, 3}))) + 1)));
        CHECK(distance(moved.parameters()[2].state.value(), before) > 0.01);
        CHECK(dynamic_cast<nn::BatchNorm1d&>(moved[1]).batches_seen() == 1);
    }

    TEST_CASE("training and evaluation are switched for a module and all its parts") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(2, 3, random), Residual(random));
        auto& inner = dynamic_cast<Residual&>(net[1]).inner();
        CHECK(net.is_training());
        CHECK(inner[1].is_training());
        net.evaluate();
        CHECK_FALSE(net.is_training());
        CHECK_FALSE(inner.is_training());
        CHECK_FALSE(inner[1].is_training());
        net[1].train();
        CHECK_FALSE(net.is_training());
        CHECK_FALSE(net[0].is_training());
        CHECK(inner[2].is_training());
        net.set_training(true);
        CHECK(net[0].is_training());
    }

    TEST_CASE("an Evaluating scope restores each part's mode, also when an exception ends it") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(2, 3, random), nn::BatchNorm1d(3), nn::Dropout(0.5, random));
        net[1].evaluate();
        auto modes = [&] {
            return std::vector{net.is_training(), net[0].is_training(), net[1].is_training(), net[2].is_training()};
        };
        std::vector<bool> mixed{true, true, false, true}, evaluating_all(4, false);
        {
            nn::Evaluating evaluating(net);
            CHECK(modes() == evaluating_all);
            {
                nn::Evaluating inner(net[0]);
                net[0].train();
            }
            CHECK(modes() == evaluating_all);
        }
        CHECK(modes() == mixed);
        try {
            nn::Evaluating evaluating(net);
            throw 1;
        } catch (int) {
        }
        CHECK(modes() == mixed);
    }

    TEST_CASE("a summary shows paths, layers with their conventions, parameter shapes and counts") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(4, 3, {.bias = false}, random), nn::BatchNorm1d(3), nn::Relu(),
                           nn::Linear(3, 2, random));
        std::string expected =
            R"(path  layer                                                                                     parameters                   count
      Sequential                                                                                                                 0
0     Linear(4 -> 3, no bias)                                                                   weight [3, 4]                   12
1     BatchNorm1d(3, epsilon 1e-05, momentum 0.1 of the new value, running variance / (n - 1))  weight [3], bias [3]             6
2     Relu                                                                                                                       0
3     Linear(3 -> 2)                                                                            weight [2, 3], bias [2]          8
                                                                                                total                           26
)";
        CHECK(nn::summary(net) == expected);
    }

    TEST_CASE("a summary gives a parameter to the module that owns it, also one listed after a part") {
        std::mt19937 random(1);
        Residual module(random);
        std::string table = nn::summary(module);
        CHECK(table.find("      Residual") != std::string::npos);
        std::string own = table.substr(table.find("Residual"));
        CHECK(own.substr(0, own.find('\n')).find("gain []") != std::string::npos);
        std::string relu = table.substr(table.find("inner.2"));
        CHECK(relu.substr(0, relu.find('\n')).find("gain") == std::string::npos);
    }

    TEST_CASE("a summary counts what parts share once in the total") {
        std::mt19937 random(1);
        Tied module(random);
        std::string table = nn::summary(module);
        CHECK(table.substr(table.find("total")).find(" 9\n") != std::string::npos);
        std::string again = table.substr(table.find("[3, 3] shared"));
        CHECK(again.substr(0, again.find('\n')).ends_with(" 0"));
    }

    TEST_CASE("a batch norm says how it differs from the usual") {
        nn::BatchNorm1d layer(8, {.epsilon = 0.001, .momentum = std::nullopt, .affine = false});
        CHECK(layer.describe() ==
              "BatchNorm1d(8, epsilon 0.001, plain average, running variance / (n - 1), not affine)");
        layer.use(nn::Statistics::population);
        layer.update(nn::Update::never);
        CHECK(layer.describe() == "BatchNorm1d(8, epsilon 0.001, plain average, running variance / (n - 1), "
                                  "always the running statistics, never updated, not affine)");
        layer.use(nn::Statistics::batch);
        layer.update(nn::Update::always);
        CHECK(layer.describe() == "BatchNorm1d(8, epsilon 0.001, plain average, running variance / (n - 1), "
                                  "always the batch's statistics, always updated, not affine)");
    }
}

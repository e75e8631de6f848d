#include <random>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/adam.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

/// Two parameters, of which a loss may use only one.
struct Pair : nn::Module {
    nn::Parameter a{Tensor::full({1}, 1)}, b{Tensor::full({1}, 1)};

    void visit(nn::Visitor& visitor) override {
        visitor("a", a);
        visitor("b", b);
    }
    std::string describe() const override { return "Pair"; }
    Var forward(Var x) override { return x; }
};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a forward pass that throws leaves neither nodes nor proposals") {
        std::mt19937 random(1);
        nn::Sequential net(nn::BatchNorm1d(3), nn::Linear(4, 2, random));
        Tape tape;
        Var x = tape.constant(Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
        CHECK_THROWS_AS(net(x), ShapeError);
        CHECK(tape.size() == 1);
        commit(tape);
        CHECK(dynamic_cast<nn::BatchNorm1d&>(net[0]).running_mean().at(0) == 0);
    }

    TEST_CASE("AdamW decays by 0.01 whatever else is chosen") {
        Pair model;
        nn::AdamW optimizer(model, {.learning_rate = 0.1});
        Tape tape;
        optimizer.step(sum(0 * tape.variable(model.a) + 0 * tape.variable(model.b)));
        CHECK(model.a.value().at(0) == doctest::Approx(0.999).epsilon(1e-6));
    }

    TEST_CASE("Adam corrects the bias of each parameter by the parameter's own steps") {
        Pair model;
        nn::Adam optimizer(model, {.learning_rate = 0.001});
        for (int step = 0; step < 100; ++step) {
            Tape tape;
            optimizer.step(sum(tape.variable(model.a)), {.allow_missing = true});
        }
        Tape tape;
        optimizer.step(sum(tape.variable(model.b)), {.allow_missing = true});
        CHECK(model.b.value().at(0) == doctest::Approx(0.999).epsilon(1e-6)); // a first step has the length of the rate
    }
}

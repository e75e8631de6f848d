#include <cotape/nn/module.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/nn/sgd.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

std::string path_of(Var var) { return var.tape().module_path(var.node()); }

/// Two named parts, one of which a user may replace.
class Encoder : public nn::Module {
  public:
    explicit Encoder(std::mt19937& random) : first(3, 3, random), rest(nn::BatchNorm1d(3), nn::Tanh()) {}
    void visit(nn::Visitor& visitor) override {
        visitor("first", first);
        visitor("rest", rest);
    }
    std::string describe() const override { return "Encoder"; }

    nn::Linear first;
    nn::Sequential rest;

  protected:
    Var forward(Var x) override { return rest(first(x)); }
};

class Elementwise : public nn::Module {
  public:
    explicit Elementwise(Var (*function)(Operand)) : function_(function) {}
    std::string describe() const override { return "Elementwise"; }

  protected:
    Var forward(Var x) override { return function_(x); }

  private:
    Var (*function_)(Operand);
};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("what a part records carries its dotted path and the user's line") {
        std::mt19937 random(1);
        nn::Sequential net((Encoder(random)), nn::Linear(3, 2, random));
        Tape tape;
        Var x = tape.constant(scattered({4, 3}));
        Var y = net(x);
        std::string line = fmt::format("module_path_test.cpp:{}", __LINE__ - 1);
        std::vector<std::string> seen;
        for (NodeId id = x.id() + 1; id < static_cast<NodeId>(tape.size()); ++id) {
            const std::string& path = tape.module_path(tape.node(id));
            CHECK(place_of(tape, tape.node(id)) == line + " in " + path);
            if (seen.empty() || seen.back() != path) seen.push_back(path);
        }
        CHECK(seen == std::vector<std::string>{"0.first", "0.rest.0", "0.rest.1", "1"});
        CHECK(path_of(x) == "");
        CHECK(path_of(y + 1) == "");
    }

    TEST_CASE("derivatives carry the path of the part they belong to") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(3, 2, random), nn::Tanh());
        Tape tape;
        Var x = tape.variable(scattered({4, 3}));
        Var y = net(x);
        CHECK(path_of(gradient(sum(y), x)) == "0");
    }

    TEST_CASE("a part that is added or replaced after a call has its path") {
        std::mt19937 random(1);
        nn::Sequential net((Encoder(random)));
        Tape tape;
        Var x = tape.constant(scattered({4, 3}));
        net(x);
        dynamic_cast<Encoder&>(net[0]).first = nn::Linear(3, 3, random);
        net.add(nn::Sigmoid());
        std::size_t size = tape.size();
        Var y = net(x);
        CHECK(tape.module_path(tape.node(static_cast<NodeId>(size))) == "0.first");
        CHECK(path_of(y) == "1");
    }

    TEST_CASE("finite-check mode names the part in which the first NaN was born, forward and backward") {
        std::string line = "recorded at module_path_test.cpp:";
        auto message_of = [](Var var) {
            try {
                var.value();
            } catch (const NonFiniteError& error) {
                return std::string(error.what());
            }
            return std::string("no error");
        };
        Tape tape({.check_finite = true});
        Var x = tape.variable(Tensor::of<float>({2}, {1, 0}));
        nn::Sequential logarithm(nn::Relu{}, Elementwise(log)), root(nn::Relu{}, Elementwise(sqrt));
        std::string message = message_of(logarithm(x));
        unsigned at = __LINE__ - 1;
        CHECK(message.starts_with("log: the first value that is not finite: -inf at element 1 of float32 [2], "));
        CHECK(message.find(fmt::format("{}{} in 1", line, at)) != std::string::npos);
        Var y = root(x);
        at = __LINE__ - 1;
        CHECK(message_of(y) == "no error");
        message = message_of(gradient(sum(y), x));
        CHECK(message.find(fmt::format("{}{} in 1, in the derivative of sqrt", line, at)) != std::string::npos);
    }

    TEST_CASE("finite-check mode names the line of an optimiser's step where its new parameters overflow") {
        std::mt19937 random(1);
        nn::Linear model(3, 2, random);
        nn::Sgd sgd(model, {.learning_rate = 1e30});
        Tape tape({.check_finite = true});
        Var loss = sum(model(tape.constant(Tensor::full({4, 3}, 1e20))));
        for (const nn::StepOptions& options : {nn::StepOptions{}, nn::StepOptions{.clip_norm = 1e15}}) {
            unsigned at = 0;
            try {
                at = __LINE__ + 1;
                sgd.step(loss, options);
                FAIL("the step is finite");
            } catch (const NonFiniteError& error) {
                std::string message = error.what();
                INFO(message);
                CHECK(message.starts_with("multiply: the first value that is not finite: "));
                CHECK(message.find(fmt::format("recorded at module_path_test.cpp:{}", at)) != std::string::npos);
                CHECK(message.find("sgd.cpp") == std::string::npos);
            }
        }
    }
}

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

struct Logarithm : nn::Module {
    std::string describe() const override { return "Logarithm"; }
    Var forward(Var x) override { return log(x); }
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
        nn::Sequential net((nn::Sequential(nn::Tanh(), nn::Sigmoid())));
        net.add(Logarithm());
        Tape tape({.check_finite = true});
        Var y = net(tape.constant(scattered({4})) * 1e3);
        std::string message;
        try {
            y.value();
        } catch (const NonFiniteError& error) {
            message = error.what();
        }
        CHECK(message.find("log: the first value that is not finite: -inf at element") == 0);
        CHECK(message.find(fmt::format("recorded at module_path_test.cpp:{} in 2", __LINE__ - 8)) != std::string::npos);
    }
}

#include <cotape/nn/sequential.hpp>

#include <doctest/doctest.h>

#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/linear.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

TEST_SUITE("nn") {
    TEST_CASE("a sequential applies its modules one after the other") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(3, 4, random), nn::Tanh());
        nn::Linear& last = net.add(nn::Linear(4, 2, random));
        CHECK(net.size() == 3);
        CHECK(&net[2] == &last);
        Tape tape;
        Var x = tape.constant(scattered({5, 3}));
        CHECK(is_same(net(x), last(net[1](net[0](x)))));
    }

    TEST_CASE("an empty sequential gives x itself") {
        nn::Sequential net;
        Tape tape;
        Var x = tape.constant(scattered({5, 3}));
        CHECK(is_same(net(x), x));
        CHECK(net.parameters().empty());
    }

    TEST_CASE("activation modules are their functions") {
        std::vector<double> at{-2, -0.5, 0, 0.5, 2};
        auto check = [&](nn::Module&& layer, const char* description, double (*function)(double)) {
            CAPTURE(description);
            CHECK(layer.describe() == description);
            CHECK(layer.parameters().empty());
            Tape tape;
            std::vector<double> expected;
            for (double x : at) expected.push_back(function(x));
            CHECK(distance(layer(tape.constant(Tensor::of({5}, at))).value(), expected) < 1e-15);
        };
        check(nn::Relu(), "Relu", [](double x) { return x > 0 ? x : 0; });
        check(nn::Tanh(), "Tanh", [](double x) { return std::tanh(x); });
        check(nn::Sigmoid(), "Sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); });
        check(nn::Gelu(), "Gelu", [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2))); });
        check(nn::Softplus(), "Softplus", [](double x) { return std::log(1 + std::exp(x)); });
        check(nn::LeakyRelu(), "LeakyRelu(0.01)", [](double x) { return x > 0 ? x : 0.01 * x; });
        check(nn::LeakyRelu(0.3), "LeakyRelu(0.3)", [](double x) { return x > 0 ? x : 0.3 * x; });
    }
}

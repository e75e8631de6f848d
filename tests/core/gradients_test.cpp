#include <cotape/core/gradients.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

bool all_equal(Var var, double value) {
    Tensor tensor = var.value();
    for (std::int64_t i = 0; i < tensor.size(); ++i)
        if (tensor.at(i) != value) return false;
    return true;
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a gradient is the derivative, with the type of its x") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({3}, {1, 2, 3})),
            w = tape.variable(Tensor::of<double>({3}, {4, 5, 6}));
        std::vector<Var> g = gradients(sum(x * w), {x, w});
        CHECK(g[0].type() == x.type());
        for (int i = 0; i < 3; ++i) {
            CHECK(g[0].value().at(i) == w.value().at(i));
            CHECK(g[1].value().at(i) == x.value().at(i));
        }
    }

    TEST_CASE("the cotangents of an x that is used several times add up") {
        Tape tape;
        Var x = tape.variable(Tensor(3.0));
        CHECK(gradient(x * x, x).item() == 6);
        CHECK(gradient(x + x + x * x * x, x).item() == 2 + 27);
    }

    TEST_CASE("an x that y does not depend on has gradient zero, of its own type") {
        Tape tape;
        Var x = tape.variable(Tensor(3.0)), before = tape.variable(Tensor::full({2, 2}, 1, Dtype::float64));
        Var y = x * x, after = tape.variable(Tensor::full({4}, 1));
        std::vector<Var> g = gradients(y, {before, x, after});
        CHECK(g[0].type() == before.type());
        CHECK(all_equal(g[0], 0));
        CHECK(g[1].item() == 6);
        CHECK(g[2].type() == after.type());
        CHECK(all_equal(g[2], 0));
        CHECK_FALSE(cotangents(std::vector{y}, std::vector{x}, std::vector{before}).front());
    }

    TEST_CASE("y is its own derivative's one") {
        Tape tape;
        Var x = tape.variable(Tensor(3.0));
        CHECK(gradient(x, x).item() == 1);
        CHECK(is_same(gradient(x, x, x), x));
        CHECK(gradients(x, std::vector<Var>()).empty());
    }

    TEST_CASE("xs may be intermediate nodes, beside those they come from, and the same one twice") {
        Tape tape;
        Var x = tape.variable(Tensor(3.0)), squared = x * x, y = squared * squared;
        std::vector<Var> g = gradients(y, {squared, x, squared});
        CHECK(g[0].item() == 2 * 9);
        CHECK(g[1].item() == 4 * 27);
        CHECK(is_same(g[0], g[2]));
    }

    TEST_CASE("a y of one element needs no seed, whatever its rank") {
        Tape tape;
        Var x = tape.variable(Tensor::full({1, 1}, 3));
        CHECK(gradient(x * x, x).type() == x.type());
        CHECK(gradient(x * x, x).item() == 6);
    }

    TEST_CASE("a y of several elements needs a seed of its type") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2, 3}, 2));
        Var y = x * x;
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(gradient(y, x), "gradients: needs a scalar, or a seed of the output's shape; got [2, 3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(gradient(y, x, tape.variable(Tensor::full({3}, 1))),
                             "gradients: the seed must be float32 [2, 3], got float32 [3]", ShapeError);
        CHECK_THROWS_WITH_AS(gradient(y, x, tape.variable(Tensor::full({2, 3}, 1, Dtype::float64))),
                             "gradients: the seed must be float32 [2, 3], got float64 [2, 3]", DtypeError);
        CHECK(tape.size() == size + 2);
        CHECK(all_equal(gradient(y, x, tape.full({2, 3}, 5, Dtype::float32)), 20));
        CHECK_THROWS_WITH_AS(gradient(tape.variable(Tensor::full({0}, 1)), x),
                             "gradients: needs a scalar, or a seed of the output's shape; got [0]", ShapeError);
    }

    TEST_CASE("integers cannot be differentiated, nor with respect to") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), labels = tape.variable(Tensor(1));
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(gradient(labels, x), "gradients: cannot differentiate with int64 elements", DtypeError);
        CHECK_THROWS_WITH_AS(gradient(x, labels), "gradients: cannot differentiate with int64 elements", DtypeError);
        CHECK_THROWS_WITH_AS(jvp(labels, x, x), "gradients: cannot differentiate with int64 elements", DtypeError);
        CHECK(tape.size() == size);
    }

    TEST_CASE("integer inputs on the way are passed by") {
        Tape tape;
        Var rows = tape.variable(Tensor::of<double>({3}, {1, 2, 3}));
        Var picked = take(rows, tape.constant(Tensor::of<std::int64_t>({2}, {2, 2})));
        Tensor g = gradient(sum(picked), rows).value();
        CHECK(g.at(0) == 0);
        CHECK(g.at(2) == 2);
    }

    TEST_CASE("several outputs send back the sum of their cotangents") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0)), a = x * x, b = exp(x), one = tape.full({}, 1, Dtype::float64);
        std::vector<Var> g = cotangents(std::vector{a, b, a}, std::vector{one, one, one}, std::vector{x});
        CHECK(g.front().item() == doctest::Approx(8 + std::exp(2.0)).epsilon(1e-15));
    }

    TEST_CASE("only what leads from the xs to y is visited") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0)), w = tape.variable(Tensor(3.0));
        Var aside = x;
        for (int i = 0; i < 100; ++i) aside = tanh(aside);
        Var long_way = w;
        for (int i = 0; i < 100; ++i) long_way = tanh(long_way);
        Var y = x * long_way;
        std::size_t size = tape.size();
        gradient(y, x);
        CHECK(tape.size() <= size + 3);
    }

    TEST_CASE("a derivative finds the forward pass's nodes instead of recording them again") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0)), y = exp(x);
        std::size_t size = tape.size();
        Var g = gradient(y, x);
        CHECK(tape.size() == size + 2); // the seed, and the seed times y
        CHECK(g.node().inputs[1] == y.id());
    }

    TEST_CASE("gradients of gradients follow the closed form to order 5") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({3}, {0.3, 1.0, 1.7})), y = x * x * x * x * exp(-x);
        auto closed_form = [](double x, int order) { // Leibniz, for x^4 e^-x
            double falling = 1, binomial = 1, result = 0;
            for (int k = 0; k <= std::min(order, 4); ++k) {
                result += binomial * falling * std::pow(x, 4 - k) * ((order - k) % 2 ? -1 : 1) * std::exp(-x);
                falling *= 4 - k;
                binomial = binomial * (order - k) / (k + 1);
            }
            return result;
        };
        Var derivative = y;
        for (int order = 0; order <= 5; ++order) {
            CAPTURE(order);
            for (int i = 0; i < 3; ++i)
                CHECK(derivative.value().at(i) ==
                      doctest::Approx(closed_form(x.value().at(i), order)).epsilon(1e-12));
            derivative = gradient(sum(derivative), x);
        }
    }

    TEST_CASE("the gradient of a product of matrices is that of the textbook") {
        Tape tape;
        Var a = tape.variable(Tensor::of<double>({2, 2}, {1, 2, 3, 4}));
        Var b = tape.variable(Tensor::of<double>({2, 1}, {5, 6}));
        Var seed = tape.constant(Tensor::of<double>({2, 1}, {7, 8}));
        std::vector<Var> g = gradients(matmul(a, b), {a, b}, seed);
        CHECK(g[0].value().at(1) == 7 * 6);
        CHECK(g[0].value().at(2) == 8 * 5);
        CHECK(g[1].value().at(0) == 1 * 7 + 3 * 8);
    }
}

#include <cotape/core/custom_derivative.hpp>

#include <cmath>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/graph_printing.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/gradient_check.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

using Vars = std::vector<Var>;

/// log(1 + exp(x)), whose composed derivative overflows for large x.
Var softplus(const Vars& x) { return log(1 + exp(x[0])); }
std::vector<Var> softplus_rule(Var, Var g, const Vars& x) { return {g / (1 + exp(-x[0]))}; }

Var product(const Vars& x) { return x[0] * x[1]; }

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a function with a derivative of the user's has its own value and the rule's derivatives, of every order "
              "and mode") {
        VarFunction function = with_derivative(softplus, softplus_rule, {.name = "softplus"});
        auto report = check_gradients(function, {Tensor::of<double>({3}, {-1, 0.3, 2})}, {.order = 3});
        INFO(to_string(report));
        CHECK(report);
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({2}, {0.5, 800})), y = function({x});
        CHECK(y.value().at(0) == std::log(1 + std::exp(0.5)));
        Var slope = gradient(sum(y), x);
        CHECK(slope.value().at(1) == 1);
        CHECK(std::isnan(gradient(sum(softplus({x})), x).value().at(1)));
        double s = 1 / (1 + std::exp(-0.5));
        CHECK(jvp(slope, x, tape.full({2}, 1, Dtype::float64)).value().at(0) ==
              doctest::Approx(s * (1 - s)).epsilon(1e-15));
    }

    TEST_CASE("the rule is what counts, even where it is not the mathematical derivative") {
        VarFunction reversed = with_derivative([](const Vars& x) { return x[0] * 1; },
                                               [](Var, Var g, const Vars&) { return Vars{-g}; });
        Tape tape;
        Var x = tape.variable(Tensor(3.0));
        CHECK(gradient(square(reversed({x})), x).item() == -6);
        CHECK(jvp(reversed({x}), x, x).item() == -3);
    }

    TEST_CASE("a rule may give no cotangent, and may use the output") {
        VarFunction half = with_derivative(product, [](Var y, Var g, const Vars& x) {
            return Vars{g * y / x[0], Var()};
        });
        Tape tape;
        Var a = tape.variable(Tensor(3.0)), b = tape.variable(Tensor(5.0)), y = half({a, b});
        CHECK(gradient(y, a).item() == 5);
        CHECK(gradient(y, b).item() == 0);
        CHECK(gradient(gradient(y, a), a).item() == 0); // (y / a)' = y' / a - y / a^2
    }

    TEST_CASE("a function with a derivative of the user's that is applied twice nests forward (pytorch#197867)") {
        VarFunction squared = with_derivative([](const Vars& x) { return x[0] * x[0]; },
                                              [](Var, Var g, const Vars& x) { return Vars{2 * x[0] * g}; });
        Tape tape;
        Var x = tape.variable(Tensor(3.0)), one = tape.full({}, 1, Dtype::float64), forward = squared({squared({x})});
        Var reverse = forward;
        for (double expected : {108.0, 108.0, 72.0, 24.0}) { // of x^4
            forward = jvp(forward, x, one);
            reverse = gradient(reverse, x);
            CHECK(forward.item() == expected);
            CHECK(reverse.item() == expected);
        }
    }

    TEST_CASE("the function and its rule live as long as a tape that used them") {
        Tape tape;
        Var x = tape.variable(Tensor(0.5)), y = with_derivative(softplus, softplus_rule, {.name = "softplus"})({x});
        CHECK(gradient(y, x).item() == 1 / (1 + std::exp(-0.5)));
        CHECK(to_text({y}).find("= softplus(") != std::string::npos);
    }

    TEST_CASE("a rule is compared with the function's own derivative when asked, and only then") {
        auto wrong = [](Var, Var g, const Vars& x) { return Vars{g * x[1], g * x[0] * 1.01}; };
        auto right = [](Var, Var g, const Vars& x) { return Vars{g * x[1], g * x[0]}; };
        for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
            Tape tape;
            Var a = tape.variable(Tensor::of<double>({2}, {1, 4}).as(dtype)),
                b = tape.variable(Tensor::of<double>({2}, {1, 2}).as(dtype));
            CHECK_NOTHROW(with_derivative(product, wrong)({a, b}));
            CHECK_NOTHROW(with_derivative(product, right, {.check = true})({a, b}));
            std::size_t size = tape.size();
            VarFunction checked = with_derivative(product, wrong, {.name = "product", .check = true});
            try {
                checked({a, b});
                FAIL("a wrong rule passed");
            } catch (const ValueError& error) {
                std::string message = error.what();
                CHECK(message.find("product: its derivative for input 1 is ") == 0);
                CHECK(message.find(" at element 0, the function's own is ") != std::string::npos);
            }
            CHECK(tape.size() == size);
        }
        Tape tape; // where the function's own derivative overflows, there is nothing to compare with
        CHECK_NOTHROW(with_derivative(softplus, softplus_rule, {.check = true})({tape.variable(Tensor(800.0))}));
    }

    TEST_CASE("a function that reads variables besides its inputs, or a rule of the wrong form, is refused") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2}, 1, Dtype::float64)), w = tape.variable(Tensor(2.0));
        unsigned line = __LINE__ - 1;
        std::string message = "scaled: reads a variable of custom_derivative_test.cpp:" + std::to_string(line) +
                              " that is not among its inputs";
        std::size_t size = tape.size();
        auto scaled =
            with_derivative([&](const Vars& in) { return in[0] * exp(w); }, softplus_rule, {.name = "scaled"});
        CHECK_THROWS_WITH_AS(scaled({x}), message.c_str(), ValueError);
        CHECK(tape.size() == size);
        CHECK_THROWS_WITH_AS(scaled({}), "scaled: needs at least one input", ValueError);
        CHECK_THROWS_WITH_AS(with_derivative(nullptr, softplus_rule), "function: needs a function, got none",
                             ValueError);
        CHECK_THROWS_WITH_AS(with_derivative(softplus, nullptr), "function: needs a derivative, got none", ValueError);

        Var y = with_derivative(product, softplus_rule, {.name = "short"})({x, x * x});
        CHECK_THROWS_WITH_AS(gradient(sum(y), x), "short: its derivative must give 2 cotangents, got 1", ValueError);
        auto summed = [](Var, Var g, const Vars&) { return Vars{sum(g)}; };
        Var z = with_derivative(softplus, summed, {.name = "summed"})({x});
        CHECK_THROWS_WITH_AS(gradient(sum(z), x),
                             "summed: its derivative for input 0 must be float64 [2], got float64 []", ShapeError);
    }
}

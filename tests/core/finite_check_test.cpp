#include <cmath>
#include <initializer_list>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

Tensor numbers(std::initializer_list<double> values) { return Tensor::of({static_cast<std::int64_t>(values.size())}, values); }

/// What reading `var` throws.
std::string message_of(Var var) {
    try {
        var.value();
    } catch (const NonFiniteError& error) {
        return error.what();
    }
    return "nothing was thrown";
}

std::string line(unsigned number) { return fmt::format("finite_check_test.cpp:{}", number); }

} // namespace

TEST_SUITE("core") {
    TEST_CASE("without the check, NaN and infinity propagate") {
        Tape tape;
        Var x = tape.variable(numbers({0, -1}));
        CHECK(std::isinf(log(x).value().at(0)));
        CHECK(std::isnan(log(x).value().at(1)));
    }

    TEST_CASE("with the check, the first value that is not finite names op, line, module, element and ranges") {
        Tape tape({.check_finite = true});
        Var x = tape.variable(numbers({4, 2, 0, -1})), y, loss;
        Where call = Where::current();
        {
            Tape::ModuleScope net(tape, "net", call);
            Tape::ModuleScope layer(tape, "0", call);
            y = log(x);
        }
        loss = sum(exp(y));
        std::string expected = "log: the first value that is not finite: -inf at element 2 of float64 [4], recorded at " +
                               line(call.line()) + " in net.0; inputs: float64 [4] in [-1, 4]";
        CHECK(message_of(loss) == expected);
        CHECK(message_of(loss) == expected); // and again: the bad value was not kept
        CHECK(message_of(y) == expected);
        CHECK(sum(x).item() == 5);
    }

    TEST_CASE("the ranges of all inputs are named") {
        Tape tape({.check_finite = true});
        Var a = tape.variable(numbers({1, 2})), b = tape.variable(Tensor(0.0)), y = a / b; unsigned at_y = __LINE__;
        CHECK(message_of(y) == "divide: the first value that is not finite: inf at element 0 of float64 [2], recorded at " +
                                   line(at_y) + "; inputs: float64 [2] in [1, 2], float64 [] in [0, 0]");
    }

    TEST_CASE("a derivative that is not finite names the op it belongs to, on its line") {
        Tape tape({.check_finite = true});
        Var x = tape.variable(numbers({4, 0})), y = sqrt(x); unsigned at_y = __LINE__;
        CHECK(y.value().at(0) == 2);
        CHECK(message_of(gradient(sum(y), x)) ==
              "divide: the first value that is not finite: inf at element 1 of float64 [2], recorded at " + line(at_y) +
                  ", in the derivative of sqrt; inputs: float64 [2] in [1, 1], float64 [2] in [0, 4]");
    }

    TEST_CASE("a constant or a variable that is not finite is named itself, with its first reader") {
        Tape tape({.check_finite = true});
        Var x = tape.variable(numbers({1, 2})); unsigned here = __LINE__;
        Var bad = tape.constant(numbers({1, NAN})); Var y = x + bad;
        CHECK(message_of(exp(y)) == "constant: the first value that is not finite: nan at element 1 of float64 [2], recorded "
                                    "at " + line(here + 1) + "; read by add at " + line(here + 1));
        Var infinite = tape.variable(numbers({-INFINITY, 0}));
        CHECK(message_of(infinite * x) == "variable: the first value that is not finite: -inf at element 0 of float64 [2], "
                                          "recorded at " + line(here + 4) + "; read by multiply at " + line(here + 5));
    }

    TEST_CASE("integers pass the check") {
        Tape tape({.check_finite = true});
        CHECK(argmax(tape.variable(numbers({1, 7, 3})), 0).item() == 1);
    }

    TEST_CASE("a commit that meets a value that is not finite changes nothing") {
        State good(Tensor(1.0)), bad(Tensor(0.0));
        Tape tape({.check_finite = true});
        tape.propose(good, tape.variable(good) + 1);
        tape.propose(bad, 1 / tape.variable(bad));
        CHECK_THROWS_AS(commit(tape), NonFiniteError);
        CHECK(good.value().item() == 1);
        CHECK(bad.value().item() == 0);
    }
}

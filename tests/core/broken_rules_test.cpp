#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

// What the engine says to the author of an op whose derivative rule is wrong.

using namespace cotape;

namespace {

auto identity = [](auto x) { return x; };
auto first_of_two = [](auto a, auto) { return a; };

const Op summed_op = [] {
    Op op = elementwise("summed", identity, no_derivative);
    op.derivative = [](const Rule& rule) { return sum(rule.g); };
    return op;
}();
const Op other_type_op = [] {
    Op op = elementwise("other_type", identity, no_derivative);
    op.derivative = [](const Rule& rule) {
        return rule.g.tape().full(rule.g.shape(), 1, Dtype::float32);
    };
    return op;
}();
const Op throwing_op = elementwise("throwing", identity, [](Var, Var g, Var x) -> Var {
    g * x + 1;
    throw std::runtime_error("no derivative today");
});
const Op squared_cotangent_op = elementwise("squared_cotangent", identity, [](Var, Var g, Var) { return g * g; });
const Op stretched_op = elementwise("stretched", identity, [](Var, Var g, Var x) { return g * stack({x, x}); });
const Op mixed_op = [] {
    Op op = elementwise("mixed", first_of_two, no_derivative, no_derivative);
    op.derivative = [](const Rule& rule) { return rule.input == 0 ? rule.g : Var(); };
    return op;
}();

Tape& elsewhere() {
    static Tape tape;
    return tape;
}
const Op stray_op = [] {
    Op op = elementwise("stray", identity, no_derivative);
    op.derivative = [](const Rule&) { return elsewhere().full({}, 1, Dtype::float64); };
    return op;
}();

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a cotangent of the wrong shape names the op and the input") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2, 3}, 1, Dtype::float64)), y = sum(record(summed_op, {x}));
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(
            gradient(y, x),
            "gradients: the derivative of summed for its input 0 must be float64 [2, 3], got float64 []", ShapeError);
        CHECK(tape.size() == size);
    }

    TEST_CASE("a rule of an elementwise op that gives more axes than its output has is not summed, but refused") {
        Tape tape;
        Var x = tape.variable(Tensor::full({3}, 1, Dtype::float64)), y = sum(record(stretched_op, {x}));
        CHECK_THROWS_WITH_AS(gradient(y, x),
                             "gradients: the derivative of stretched for its input 0 must be [3], got [2, 3]",
                             ShapeError);
    }

    TEST_CASE("a cotangent of the wrong element type names the op and the input") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        CHECK_THROWS_WITH_AS(
            gradient(record(other_type_op, {x}), x),
            "gradients: the derivative of other_type for its input 0 must be float64 [], got float32 []", DtypeError);
    }

    TEST_CASE("a cotangent of another tape names the op and the input") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        CHECK_THROWS_WITH_AS(gradient(record(stray_op, {x}), x),
                             "gradients: the derivative of stray for its input 0 is on another tape", TapeError);
    }

    TEST_CASE("an empty cotangent means that the output does not depend on that input") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), y = tape.variable(Tensor(2.0));
        std::vector<Var> g = gradients(record(mixed_op, {x, y}), {x, y});
        CHECK(g[0].item() == 1);
        CHECK(g[1].item() == 0);
    }

    TEST_CASE("an exception inside a derivative rolls the tape back") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), y = record(throwing_op, {x}) * x * x;
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(gradient(y, x), "no derivative today", std::runtime_error);
        CHECK(tape.size() == size);
        CHECK_THROWS_WITH_AS(jvp(y, x, x), "no derivative today", std::runtime_error);
        CHECK(tape.size() == size);
        CHECK_THROWS_WITH_AS(hvp(y, x, x), "no derivative today", std::runtime_error);
        CHECK(tape.size() == size);
        CHECK(y.item() == 1);
        CHECK((y + x).node().derivative_of == -1);
    }

    TEST_CASE("a rule that is not linear in its cotangent is an error of jvp, at the latest when it is evaluated") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), y = record(squared_cotangent_op, {x});
        CHECK_THROWS_WITH_AS(jvp(y, x, x).value(), "jvp: a derivative on the way is not linear in its cotangent",
                             TapeError);
        CHECK(y.item() == 1);
    }
}

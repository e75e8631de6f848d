#include <cotape/core/evaluate.hpp>

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

int calls = 0;
bool failing = false;

Tensor doubled(const Call&, const Type& output, std::span<const Tensor> inputs) {
    ++calls;
    if (failing) throw std::runtime_error("the kernel fails");
    MutableTensor result(output);
    for (std::size_t i = 0; i < result.elements<double>().size(); ++i)
        result.elements<double>()[i] = 2 * inputs[0].elements<double>()[i];
    return std::move(result).freeze();
}

/// Twice its input, in float64; `calls` counts how often its kernel runs.
const Op counted_double_op{
    .name = "counted_double",
    .type = [](const Call& call) { return call.type(0); },
    .kernel = doubled,
    .derivative = [](const Rule& rule) { return 2 * rule.g; },
};

Var counted_double(Operand x) { return record(counted_double_op, {x}); }

const Op misshapen_op{
    .name = "misshapen",
    .type = [](const Call& call) { return call.type(0); },
    .kernel = [](const Call&, const Type&, std::span<const Tensor>) { return Tensor(1.0); },
};
const Op valueless_op{
    .name = "valueless",
    .type = [](const Call& call) { return call.type(0); },
    .kernel = [](const Call&, const Type&, std::span<const Tensor>) { return Tensor(); },
};

bool has_value(Var var) { return !var.tape().computed(var.id()).empty(); }

struct Fixture {
    Fixture() { calls = 0, failing = false; }
    Tape tape;
    Var x = tape.variable(Tensor::of<double>({2}, {1, 3}));
};

} // namespace

TEST_SUITE("core") {
    TEST_CASE_FIXTURE(Fixture, "recording computes nothing, reading computes once, what is needed alone") {
        Var y = counted_double(x), unread = counted_double(y + 1), z = y * y;
        CHECK(calls == 0);
        CHECK(z.value().at(1) == 36);
        CHECK(calls == 1);
        CHECK(z.value().at(0) == 4);
        CHECK(y.value().at(0) == 2);
        CHECK(calls == 1);
        CHECK_FALSE(has_value(unread));
    }

    TEST_CASE_FIXTURE(Fixture, "reading the loss before its gradient does not compute the forward pass twice") {
        Var loss = sum(square(counted_double(x)));
        CHECK(loss.item() == 40);
        CHECK(calls == 1);
        Var g = gradient(loss, x);
        CHECK(g.value().at(1) == 24);
        CHECK(calls == 1);
    }

    TEST_CASE_FIXTURE(Fixture, "several values are computed in one pass") {
        Var y = counted_double(x), a = y + 1, b = y - 1;
        evaluate(std::vector{b, a, b});
        CHECK(calls == 1);
        CHECK(has_value(a));
        CHECK(has_value(b));
        CHECK(has_value(y));
        evaluate(std::vector<Var>());
    }

    TEST_CASE_FIXTURE(Fixture,
                      "Keep::requested lets everything else go, and it can be computed again to the same bits") {
        Var y = counted_double(exp(x)), z = y * y + y;
        evaluate({&z, 1}, Keep::requested);
        CHECK(has_value(z));
        CHECK_FALSE(has_value(y));
        CHECK(has_value(x));
        CHECK(calls == 1);
        Tensor first = z.value(), freed = y.value();
        CHECK(calls == 2);
        Tensor again = (y * y + y).value();
        CHECK(is_same(again, first));
        CHECK(freed.at(1) == 2 * std::exp(3.0));
        tape.set_computed(z.id(), Tensor());
        Tensor recomputed = z.value();
        CHECK_FALSE(is_same(recomputed, first));
        CHECK(std::memcmp(recomputed.bytes_begin(), first.bytes_begin(), first.bytes()) == 0);
    }

    TEST_CASE_FIXTURE(Fixture, "a value that is dropped makes room for another, and can be computed again") {
        Var y = x + 1, z = x * 3, w = x - 2;
        Tensor dropped = y.value();
        z.value();
        tape.set_computed(y.id(), Tensor());
        tape.set_computed(y.id(), Tensor());
        CHECK_FALSE(has_value(y));
        CHECK(w.value().at(1) == 1);
        CHECK(y.value().at(1) == 4);
        CHECK(z.value().at(1) == 9);
        CHECK(x.value().at(1) == 3);
        CHECK(dropped.at(0) == 2);
    }

    TEST_CASE_FIXTURE(Fixture, "Keep::requested keeps what was there before, and an input that is requested") {
        Var y = counted_double(x), z = y + 1, w = z * z;
        y.value();
        evaluate(std::vector{w, z}, Keep::requested);
        CHECK(has_value(y));
        CHECK(has_value(z));
        CHECK(has_value(w));
        CHECK(calls == 1);
    }

    TEST_CASE_FIXTURE(Fixture, "an exception in a kernel leaves the tape usable and what was computed in place") {
        Var before = x + 1, y = counted_double(before), z = y * x;
        failing = true;
        for (Keep keep : {Keep::all, Keep::requested})
            CHECK_THROWS_WITH_AS(evaluate({&z, 1}, keep), "the kernel fails", std::runtime_error);
        CHECK(before.value().at(0) == 2);
        failing = false;
        CHECK(z.value().at(1) == 24);
        CHECK(gradient(sum(z), x).value().at(0) == 6);
    }

    TEST_CASE_FIXTURE(Fixture, "a kernel that does not return what its shape rule said is named") {
        CHECK_THROWS_WITH_AS(record(misshapen_op, {x}).value(),
                             "misshapen: its kernel must return float64 [2], got float64 []", ValueError);
        CHECK_THROWS_WITH_AS(record(valueless_op, {x}).value(),
                             "valueless: its kernel must return float64 [2], got an empty tensor", ValueError);
        CHECK(x.value().at(0) == 1);
    }

    TEST_CASE_FIXTURE(Fixture, "an operation on numbers alone has no tape to go to") {
        CHECK_THROWS_WITH_AS(counted_double(2.0), "counted_double: at least one argument must be a variable",
                             TapeError);
    }

    TEST_CASE("values can be read and recorded in turns") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        for (int i = 0; i < 1000; ++i) {
            x = x + 1;
            CHECK(x.item() == i + 2);
        }
    }
}

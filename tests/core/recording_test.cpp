#include <cotape/core/tape.hpp>

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("the same op on the same inputs with the same attributes is one node") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2, 3}, 1)), y = tape.variable(Tensor::full({2, 3}, 2));
        Var first = x * y;
        std::size_t size = tape.size();
        CHECK(is_same(first, x * y));
        CHECK(tape.size() == size);
        CHECK(is_same(sum(x, {0}), sum(x, {0})));
        CHECK(is_same(2 * x, 2 * x));
    }

    TEST_CASE("another op, other inputs, their order and other attributes make another node") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2, 3}, 1)), y = tape.variable(Tensor::full({2, 3}, 2));
        CHECK_FALSE(is_same(x * y, x + y));
        CHECK_FALSE(is_same(x * y, y * x));
        CHECK_FALSE(is_same(x * y, x * x));
        CHECK_FALSE(is_same(sum(x, {0}), sum(x, {1})));
        CHECK_FALSE(is_same(sum(x, {0}), sum(x, {0}, {.keep_dims = true})));
        CHECK_FALSE(is_same(2 * x, 3 * x));
    }

    TEST_CASE("each variable is distinct, even one of the same tensor") {
        Tape tape;
        Tensor value = Tensor::full({2}, 1);
        Var a = tape.variable(value), b = tape.variable(value);
        CHECK_FALSE(is_same(a, b));
        CHECK_FALSE(is_same(2 * a, 2 * b));
    }

    TEST_CASE("a constant is known by its elements in memory and its shape") {
        Tape tape;
        Tensor value = Tensor::full({2, 3}, 1), equal_value = Tensor::full({2, 3}, 1);
        CHECK(is_same(tape.constant(value), tape.constant(value)));
        CHECK_FALSE(is_same(tape.constant(value), tape.constant(equal_value)));
        CHECK_FALSE(is_same(tape.constant(value), tape.constant(value.reshaped({6}))));
        CHECK_FALSE(is_same(tape.constant(value), tape.variable(value)));
    }

    TEST_CASE("a constant keeps its elements, so that no later one is taken for it") {
        Tape tape;
        Var first = tape.constant(Tensor::full({3}, 1));
        for (int i = 0; i < 10; ++i) {
            Var next = tape.constant(Tensor::full({3}, 2));
            CHECK_FALSE(is_same(first, next));
        }
        CHECK(first.value().at(0) == 1);
    }

    TEST_CASE("full is known by its shape, type and value to the bit") {
        Tape tape;
        CHECK(is_same(tape.full({2}, 1, Dtype::float32), tape.full({2}, 1, Dtype::float32)));
        CHECK_FALSE(is_same(tape.full({2}, 1, Dtype::float32), tape.full({2}, 1, Dtype::float64)));
        CHECK_FALSE(is_same(tape.full({2}, 1, Dtype::float32), tape.full({1}, 1, Dtype::float32)));
        CHECK_FALSE(is_same(tape.full({}, 0.0, Dtype::float32), tape.full({}, -0.0, Dtype::float32)));
        CHECK(is_same(tape.full({}, NAN, Dtype::float32), tape.full({}, NAN, Dtype::float32)));
    }

    TEST_CASE("many distinct nodes are all found again") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        for (int i = 0; i < 1000; ++i) x + i;
        std::size_t size = tape.size();
        CHECK(size == 2001);
        for (int i = 0; i < 1000; ++i) x + i;
        CHECK(tape.size() == size);
    }

    TEST_CASE("a node is found again whichever of its inputs was recorded last, and however many others use that") {
        Tape tape;
        std::vector<Var> x{tape.variable(Tensor(1.0)), tape.variable(Tensor(2.0)), tape.variable(Tensor(3.0))};
        std::vector<Var> recorded;
        auto record_all = [&] {
            recorded.clear();
            for (Var a : x)
                for (Var b : x) recorded.insert(recorded.end(), {a + b, a - b, a * b, a / b});
        };
        record_all();
        std::size_t size = tape.size();
        CHECK(size == 3 + 4 * 9);
        std::vector<Var> first = recorded;
        record_all();
        CHECK(tape.size() == size);
        for (std::size_t i = 0; i < first.size(); ++i) CHECK(is_same(recorded[i], first[i]));
        CHECK(recorded[4 * 5 + 1].item() == -1);
    }

    TEST_CASE("a number is one node for each element type, known to the bit, however many others come between") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), y = tape.variable(Tensor(1.0f));
        auto record_all = [&] {
            std::vector<Var> recorded{x + 0.0, x + -0.0, x + NAN, y + 0.0, y + NAN};
            for (int i = 1; i < 50; ++i) recorded.insert(recorded.end(), {x * i, y * i});
            return recorded;
        };
        std::vector<Var> first = record_all();
        std::size_t size = tape.size();
        CHECK(size == 2 + 2 * first.size());
        std::vector<Var> again = record_all();
        CHECK(tape.size() == size);
        for (std::size_t i = 0; i < first.size(); ++i) CHECK(is_same(again[i], first[i]));
        CHECK(std::signbit((-x * 0 + -0.0).item()));
        CHECK(first.back().item() == 49);
    }

    TEST_CASE("a number takes the element type of the Var beside it") {
        Tape tape;
        for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
            Var x = tape.variable(Tensor::full({2}, 3, dtype));
            CHECK((x * 0.5).dtype() == dtype);
            CHECK((2 - x).value().at(0) == -1);
        }
        Var labels = tape.constant(Tensor::full({2}, 3, Dtype::int64));
        CHECK_THROWS_WITH_AS(reshape(labels, {2}) + 0.5, "add: cannot use 0.5 with int64 elements", DtypeError);
        CHECK_THROWS_WITH_AS(labels + INFINITY, "add: cannot use inf with int64 elements", DtypeError);
    }

    TEST_CASE("a shape error is thrown where the op is recorded, and leaves the tape as it was") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2, 3}, 1)), y = tape.variable(Tensor::full({2}, 1));
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(x + y, "add: cannot broadcast [2, 3] with [2]", ShapeError);
        CHECK(tape.size() == size);
        CHECK_THROWS_WITH_AS(where(x, y, 0), "where: cannot broadcast [2, 3] with [2]", ShapeError);
        CHECK(tape.size() == size);
        CHECK((x + 1).value().at(0) == 2);
    }

    TEST_CASE("element types that differ are both named") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0f)), y = tape.variable(Tensor(1.0));
        CHECK_THROWS_WITH_AS(x * y, "multiply: cannot combine float32 with float64", DtypeError);
    }

    TEST_CASE("an empty tensor is no value") {
        Tape tape;
        CHECK_THROWS_WITH_AS(tape.constant(Tensor()), "constant: the tensor is empty", ValueError);
        CHECK_THROWS_WITH_AS(tape.variable(Tensor()), "variable: the tensor is empty", ValueError);
        CHECK(tape.size() == 0);
    }

    TEST_CASE("a cleared tape starts anew") {
        Tape tape;
        Tape::ModuleScope scope(tape, "net", Where::current());
        (tape.variable(Tensor(1.0)) + 1).value();
        tape.clear();
        CHECK(tape.size() == 0);
        Var x = tape.variable(Tensor(2.0));
        CHECK((x + 1).item() == 3);
        CHECK(tape.module_path(x.node()) == "net");
    }
}

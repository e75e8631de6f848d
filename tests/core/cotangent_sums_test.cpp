#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/gradient_check.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "../nn/numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

std::size_t count_nodes(const Tape& tape, const std::string& op) {
    std::size_t count = 0;
    for (std::size_t id = 0; id < tape.size(); ++id) count += tape.node(static_cast<NodeId>(id)).op->name == op;
    return count;
}

/// A function of parts of x, and whether the cotangent of x is one concatenation.
struct Slicing {
    const char* name;
    Var (*function)(Var x);
    bool joins;
};

const Slicing slicings[] = {
    {"that overlap", [](Var x) { return slice(x, 0, 3, 5) * slice(x, 0, 0, 2) * slice(x, 0, 1, 3); }, false},
    {"side by side", [](Var x) { return slice(x, 0, 2, 4) * slice(x, 0, 4, 6) * slice(x, 0, 0, 2); }, true},
    {"with gaps", [](Var x) { return slice(x, 0, 5, 6) * slice(x, 0, 1, 2) * slice(x, 0, 3, 4); }, true},
    {"along two axes", [](Var x) { return slice(slice(x, 0, 0, 3), 1, 0, 2) * slice(slice(x, 1, 1, 3), 0, 3, 6); },
     false},
    {"with a stride", [](Var x) { return slice(x, 0, 0, 6, 2) * slice(x, 0, 1, 6, 2); }, false},
    {"and whole", [](Var x) { return slice(x, 0, 0, 2) * slice(x, 0, 2, 4) * sum(x); }, true},
};

} // namespace

TEST_SUITE("core") {
    TEST_CASE("the cotangent of what was sliced up is put together again, whatever the slices") {
        for (const Slicing& slicing : slicings) {
            CAPTURE(std::string(slicing.name));
            Tape tape;
            Var x = tape.variable(scattered<double>({6, 3}));
            gradient(sum(slicing.function(x)), x);
            CHECK((count_nodes(tape, "concatenate") == 1) == slicing.joins);
            auto function = [&](const std::vector<Var>& inputs) { return slicing.function(inputs[0]); };
            GradientCheckReport report = check_gradients(function, {scattered<double>({6, 3})}, {.order = 3});
            CHECK_MESSAGE(report, to_string(report));
        }
    }

    TEST_CASE("a long tensor in many slices costs its gradient one copy, not one for each slice") {
        Tape tape;
        Var x = tape.variable(scattered({1000, 2}));
        Var total = tape.full({1, 2}, 0, Dtype::float32);
        for (std::int64_t i = 0; i < 1000; ++i) total = total + square(slice(x, 0, i, i + 1));
        Tensor slope = gradient(sum(total), x).value();
        CHECK(count_nodes(tape, "concatenate") == 1);
        for (std::int64_t i = 0; i < 2000; ++i) CHECK(slope.at(i) == 2 * x.value().at(i));
    }

    TEST_CASE("the gradient of a weight that several products share is one product where that moves less") {
        auto function = [](const std::vector<Var>& inputs) {
            Var h = inputs[1];
            for (int step = 0; step < 3; ++step) h = square(matmul(h, inputs[0], {.transpose_b = true}));
            return h;
        };
        for (std::int64_t rows : {1, 40}) {
            Tape tape;
            Var weight = tape.variable(scattered<double>({4, 4})), h = tape.constant(scattered<double>({rows, 4}, 1));
            CHECK(gradient(sum(function({weight, h})), weight).node().op->name == (rows == 1 ? "matmul" : "add"));
        }
        GradientCheckReport report =
            check_gradients(function, {scattered<double>({4, 4}), scattered<double>({2, 4}, 1)}, {.order = 3});
        CHECK_MESSAGE(report, to_string(report));
    }

    TEST_CASE("a part of a tensor shares its elements, and refuses to reach beyond them") {
        Tensor x = scattered({4, 3});
        Tensor part = x.part(3, {2, 3});
        CHECK(part.bytes_begin() == x.bytes_begin() + 3 * sizeof(float));
        CHECK(distance(part, {x.at(3), x.at(4), x.at(5), x.at(6), x.at(7), x.at(8)}) == 0);
        CHECK(x.part(12, {0, 3}).size() == 0);
        CHECK_THROWS_WITH_AS(x.part(7, {2, 3}), "part: cannot take [2, 3] from element 7 of [4, 3] on", ShapeError);
        CHECK_THROWS_WITH_AS(x.part(-1, {2, 3}), "part: cannot take [2, 3] from element -1 of [4, 3] on", ShapeError);
        x = Tensor();
        CHECK(std::isfinite(part.at(5)));
    }

    TEST_CASE("slices in one piece are not copied; the others are") {
        Tape tape;
        Var x = tape.variable(scattered({4, 3, 2}));
        const std::byte* first = x.value().bytes_begin();
        CHECK(slice(x, 0, 1, 3).value().bytes_begin() == first + 6 * sizeof(float));
        CHECK(slice(slice(x, 0, 2, 3), 1, 1, 3).value().bytes_begin() == first + 14 * sizeof(float));
        Tensor columns = slice(x, 1, 0, 2).value();
        CHECK(columns.bytes_begin() != first);
        CHECK(columns.at(4) == x.value().at(6));
    }
}

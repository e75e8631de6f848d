#include <cotape/core/pushed_slices.hpp>

#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "../nn/numbers.hpp"
#include "planned.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

constexpr std::int64_t steps = 5, rows = 16, columns = 96;
constexpr ReduceOptions keep{.keep_dims = true};

/// What is recorded: values that are asked for, and one that is seen in slices.
struct Recorded {
    std::vector<Var> asked;
    Var whole;
};

/// Whether the fusing evaluator puts the whole into memory. Checks that both give the same bits.
bool stores_whole(const std::function<Recorded(Var x)>& record) {
    std::vector<Tensor> expected;
    bool stored = false;
    for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused})
        for (Keep kept : {Keep::all, Keep::requested}) {
            Tape tape({.evaluator = evaluator});
            Recorded recorded = record(tape.variable(scattered({steps, rows, columns})));
            stored = false;
            for (const Group& group : planned(recorded.asked).groups)
                for (const GroupStep& step : group.steps) stored |= step.store == recorded.whole.id();
            evaluate(recorded.asked, kept);
            for (std::size_t i = 0; i < recorded.asked.size(); ++i) {
                if (expected.size() == i) expected.push_back(recorded.asked[i].value());
                CHECK(same_bits(recorded.asked[i].value(), expected[i]));
            }
        }
    return stored;
}

Var normalized(Var x) { return (x - slice(x, 1, 0, 1)) * exp(slice(x, 1, 1, 2)) + slice(slice(x, 0, 0, 1), 1, 2, 3); }

/// A function of every slice of `count` rows, each computed after a product.
std::vector<Var> of_slices(Var matrix, std::int64_t count) {
    std::vector<Var> results;
    for (std::int64_t begin = 0; begin + count <= matrix.shape()[0]; begin += count) {
        Var seen = slice(matrix, 0, begin, begin + count);
        if (!results.empty()) seen = seen + matmul(results.back(), matmul(transpose(results.back()), results.back()));
        results.push_back(tanh(seen));
    }
    return results;
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("slices of a cheap value are computed from what it is computed from, also under another shape") {
        CHECK_FALSE(stores_whole([](Var x) {
            Var whole = normalized(x);
            return Recorded{of_slices(reshape(whole, {steps * rows, columns}), rows), whole};
        }));
        CHECK_FALSE(stores_whole([](Var x) { // a part of a row of blocks
            Var whole = x * slice(x, 2, 3, 4);
            return Recorded{of_slices(reshape(whole, {steps * rows, columns}), 4), whole};
        }));
        CHECK_FALSE(stores_whole([](Var x) { // a number and what is stretched
            Var whole = 2 * x + broadcast_to(slice(x, 1, 0, 1), x.shape());
            return Recorded{of_slices(reshape(whole, {steps * rows, columns}), rows), whole};
        }));
    }

    TEST_CASE("slices of what is computed from slices") {
        CHECK_FALSE(stores_whole([](Var x) {
            Var whole = normalized(x);
            std::vector<Var> results;
            for (Var outer : {slice(reshape(whole, {steps * rows, columns}), 0, 0, rows),
                              slice(reshape(whole, {steps * rows, columns}), 0, 3 * rows, 4 * rows)}) {
                Var moved = outer - x.tape().constant(scattered({columns}));
                for (std::int64_t part : {0, 4, 12}) results.push_back(tanh(slice(moved, 0, part, part + 4)));
            }
            return Recorded{results, whole};
        }));
    }

    TEST_CASE("what slices are computed from may be a part of something else") {
        for (std::int64_t axis : {0, 1})
            CHECK_FALSE(stores_whole([=](Var x) {
                Var leaf = tanh(reshape(slice(x, 0, 0, 1), {rows, columns})), whole = x * leaf;
                Var parts = concatenate({leaf, exp(leaf)}, axis), matrix = reshape(whole, {steps * rows, columns});
                return Recorded{{tanh(slice(matrix, 0, 0, rows)), exp(slice(matrix, 0, rows, 2 * rows)),
                                 matmul(parts, parts, {.transpose_a = true})},
                                whole};
            }));
    }

    TEST_CASE("gradients through slices that are computed so") {
        CHECK_FALSE(stores_whole([](Var x) {
            Var whole = normalized(x);
            std::vector<Var> results = of_slices(reshape(whole, {steps * rows, columns}), rows);
            return Recorded{{results.back(), gradient(results.back(), x, results.front())}, whole};
        }));
    }

    TEST_CASE("what others read too, what is asked for, dear, or seen more than once is put into memory") {
        auto rows_of = [](Var whole) { return of_slices(reshape(whole, {steps * rows, columns}), rows); };
        CHECK(stores_whole([&](Var x) {
            Var whole = normalized(x);
            std::vector<Var> asked = rows_of(whole);
            asked.push_back(matmul(reshape(whole, {steps * rows, columns}), transpose(asked[0])));
            return Recorded{asked, whole};
        }));
        CHECK(stores_whole([&](Var x) {
            Var whole = normalized(x);
            std::vector<Var> asked = rows_of(whole);
            asked.push_back(whole);
            return Recorded{asked, whole};
        }));
        CHECK(stores_whole([&](Var x) {
            Var whole = tanh(exp(x));
            return Recorded{rows_of(whole), whole};
        }));
        CHECK(stores_whole([&](Var x) {
            Var whole = normalized(x), matrix = reshape(whole, {steps * rows, columns});
            std::vector<Var> asked = rows_of(whole);
            asked.push_back(exp(slice(matrix, 0, 1, 1 + 3 * rows)));
            return Recorded{asked, whole};
        }));
        CHECK(stores_whole([](Var x) { // across two of its axes
            Var whole = normalized(x);
            return Recorded{of_slices(reshape(whole, {steps * rows, columns}), 3 * rows), whole};
        }));
        CHECK(stores_whole([](Var x) { // columns, which lie apart
            Var whole = normalized(x), matrix = reshape(whole, {steps * rows, columns});
            return Recorded{{tanh(slice(matrix, 1, 0, 48)), exp(slice(matrix, 1, 48, 96))}, whole};
        }));
    }

    TEST_CASE("columns of a matrix are read, and written side by side, in the same bits") {
        for (std::int64_t width : {24, 32, 33})
            stores_whole([&](Var x) {
                Var matrix = exp(reshape(x, {steps * rows, columns}));
                Var a = slice(matrix, 1, 0, width), b = slice(matrix, 1, width, 2 * width);
                Var c = tanh(a) * b, centred = c - mean(c, {0}, keep), far = sigmoid(a) + b;
                Var whole = concatenate({tanh(centred), a * far, far * 2}, 1);
                return Recorded{{matmul(whole, whole, {.transpose_a = true}), c}, whole};
            });
    }
}

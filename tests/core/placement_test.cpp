#include <cotape/core/placement.hpp>

#include <cstring>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/memory_plan.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "../nn/numbers.hpp"
#include "failing_op.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

constexpr std::int64_t rows = 96, columns = 80;
constexpr ReduceOptions keep{.keep_dims = true};
constexpr std::size_t matrix = rows * columns * sizeof(float), square_matrix = columns * columns * sizeof(float);

/// Records values of x, a matrix, with both evaluators, and checks that they have the same bits.
template <class Values>
void check_values(Values values) {
    std::vector<Tensor> reference;
    for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused})
        for (Keep keep : {Keep::requested, Keep::all}) {
            Tape tape({.evaluator = evaluator});
            std::vector<Var> results = values(tape.variable(scattered({rows, columns})));
            evaluate(results, keep);
            for (std::size_t i = 0; i < results.size(); ++i) {
                if (reference.size() == i) reference.push_back(results[i].value());
                CHECK(same_bits(results[i].value(), reference[i]));
            }
        }
}

/// What the step that puts together `whole` reads and writes.
MemoryPlan::Step step_of(const Tape& tape, const std::string& op) {
    MemoryPlan plan = tape.memory_plan();
    MemoryPlan::Step found{};
    for (const MemoryPlan::Step& step : plan.steps)
        if (step.writes == op) found = step;
    CHECK(found.writes == op);
    return found;
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("what is put together has the bits of copied parts, along every axis and in every mixture") {
        for (std::int64_t axis : {0, 1}) {
            CAPTURE(axis);
            check_values([&](Var x) { return std::vector<Var>{concatenate({exp(x), tanh(x), x * 2}, axis)}; });
            check_values([&](Var x) { // parts that others read, or that are asked for
                Var a = exp(x), b = tanh(x), c = a * b;
                return std::vector<Var>{concatenate({a, b, c}, axis), sum(a, {axis}), matmul(c, transpose(b)), b};
            });
            check_values([&](Var x) { // the same part twice, in two wholes, constants between
                Var a = exp(x), b = tanh(x), ones = x.tape().full({rows, columns}, 1, Dtype::float32);
                return std::vector<Var>{concatenate({a, a}, axis), concatenate({a, ones, b}, axis),
                                        concatenate({b, a}, axis)};
            });
            check_values([&](Var x) { // a whole within a whole, and slices of it
                Var inner = concatenate({exp(x), tanh(x)}, 1 - axis);
                Var outer = concatenate({inner, inner * 2}, axis);
                return std::vector<Var>{exp(slice(outer, axis, 3, 50)), sum(outer, {1 - axis})};
            });
            check_values([&](Var x) { // nothing, and a row of a part
                Var none = exp(slice(x, axis, 0, 0)), row = exp(slice(x, axis, 5, 6));
                return std::vector<Var>{concatenate({none, tanh(x), row}, axis)};
            });
        }
        check_values([](Var x) { // along a middle axis of a longer tensor
            Var cube = reshape(x, {4, 24, columns});
            return std::vector<Var>{concatenate({exp(cube), tanh(slice(cube, 1, 2, 7)), cube}, 1)};
        });
    }

    TEST_CASE("parts are written where they are to be, and not copied") {
        for (std::int64_t axis : {0, 1}) {
            Tape tape({.evaluator = Evaluator::fused});
            Var x = tape.variable(scattered({rows, columns})), whole = concatenate({exp(x), tanh(x), x}, axis);
            evaluate({&whole, 1}, Keep::requested);
            MemoryPlan::Step step = step_of(tape, "concatenate");
            CHECK(step.read == matrix); // x alone
            CHECK(step.written == matrix);
            MemoryPlan plan = tape.memory_plan();
            CHECK(plan.peak_bytes - plan.bytes_before == 3 * matrix);
        }
    }

    TEST_CASE("reductions are written where they are to be, whoever else reads them") {
        Tape tape({.evaluator = Evaluator::fused});
        Var x = tape.variable(scattered({rows, columns})), sums = sum(x, {0}, keep), y = tanh(x - sums);
        Var whole = concatenate({sums, mean(y, {0}, keep)}, 0);
        evaluate(std::vector<Var>{whole, y}, Keep::requested);
        CHECK(step_of(tape, "concatenate").written == 0);
        check_values([](Var z) {
            Var lowest = min(z, {1}, keep), highest = max(z * 2, {1}, keep);
            return std::vector<Var>{concatenate({lowest, highest}, 1), concatenate({highest, lowest}, 0), z - lowest};
        });
    }

    TEST_CASE("what is asked for has memory of its own, whatever it shows or is written over") {
        for (bool seen : {false, true}) {
            Tape tape({.evaluator = Evaluator::fused});
            Var x = tape.variable(scattered({columns, columns})), part = matmul(x, x);
            Var whole = concatenate({part, exp(x)}, 0), rest = mean(matmul(whole, x));
            std::vector<Var> asked{seen ? reshape(part, {columns * columns}) : tanh(part) + rest, rest};
            std::size_t before = buffer_pool_usage().in_use;
            evaluate(asked, Keep::requested);
            std::size_t kept = buffer_pool_usage().in_use - before;
            CHECK(kept >= square_matrix);
            CHECK(kept < square_matrix + square_matrix / 2);
        }
    }

    TEST_CASE("a part that is asked for does not keep the whole in memory") {
        Tape tape({.evaluator = Evaluator::fused});
        Var x = tape.variable(scattered({rows, columns})), a = exp(x), b = tanh(x);
        std::vector<Var> results{a, matmul(concatenate({a, b}, 0), transpose(x))};
        evaluate(results, Keep::requested);
        CHECK(a.value().is_held_by(1 + 1)); // by the tape, and by what `value` returns
        CHECK(step_of(tape, "concatenate").written == matrix);
    }

    TEST_CASE("a part that dies before the whole is there is not written over") {
        check_values([](Var x) {
            Var a = exp(x), b = tanh(a), c = exp(matmul(transpose(b), b)); // after a's last other reader
            return std::vector<Var>{matmul(concatenate({a, c}, 0), x * 2 + 1, {.transpose_b = true})};
        });
    }

    TEST_CASE("a part that can be written over what dies with it is, and is copied from there") {
        Tape tape({.evaluator = Evaluator::fused});
        Var x = tape.variable(scattered({columns, columns}));
        Var whole = concatenate({tanh(transpose(x)), exp(x)}, 0);
        evaluate({&whole, 1}, Keep::requested);
        CHECK(step_of(tape, "tanh").in_place == square_matrix);
        CHECK(step_of(tape, "concatenate").written == square_matrix);
        check_values([](Var y) { return std::vector<Var>{concatenate({tanh(transpose(y)), transpose(y)}, 0)}; });
    }

    TEST_CASE("a product is computed where it will be, or where the part will be that is written over it") {
        Tape tape({.evaluator = Evaluator::fused});
        Var x = tape.variable(scattered({columns, columns}));
        Var whole = concatenate({tanh(matmul(x, x)), matmul(x, transpose(x))}, 0);
        evaluate({&whole, 1}, Keep::requested);
        MemoryPlan plan = tape.memory_plan();
        CHECK(plan.peak_bytes - plan.bytes_before == 3 * square_matrix); // and the transposed matrix
        CHECK(step_of(tape, "tanh").in_place == square_matrix);
        CHECK(step_of(tape, "concatenate").written == 0);

        check_values([](Var y) { // also where the product is kept, seen, asked for, in two wholes, or of the wrong size
            Var a = matmul(transpose(y), y), b = tanh(a), c = exp(matmul(a, a));
            return std::vector<Var>{concatenate({b, c}, 0), concatenate({tanh(matmul(c, b)), exp(matmul(b, c))}, 0)};
        });
        check_values([](Var y) {
            Var a = matmul(transpose(y), y), b = matmul(a, a), seen = reshape(b, {1, columns * columns});
            return std::vector<Var>{concatenate({tanh(a), exp(b)}, 0), concatenate({tanh(b), a}, 1), seen, a};
        });
        check_values([](Var y) {
            Var a = matmul(transpose(y), y), wide = concatenate({tanh(a), a * slice(a, 0, 0, 1)}, 0);
            return std::vector<Var>{wide, matmul(wide, wide, {.transpose_a = true})};
        });
    }

    TEST_CASE("where something fails on the way, a product that is partly written over is gone, and can still be had") {
        Tape tape({.evaluator = Evaluator::fused});
        Var x = tape.variable(scattered({columns, columns})), product = matmul(x, x), part = tanh(product);
        Var whole = concatenate({part, record(failing_op, {part})}, 0);
        CHECK_THROWS_WITH_AS(evaluate({&whole, 1}, Keep::requested), "it fails", std::runtime_error);
        CHECK(tape.computed(product.id()).empty());
        Tape other({.evaluator = Evaluator::plain});
        Var y = other.variable(scattered({columns, columns})), expected = matmul(y, y);
        CHECK(same_bits(product.value(), expected.value()));
        CHECK(same_bits(part.value(), tanh(expected).value()));
    }

    TEST_CASE("where something fails on the way, parts are there, the whole is not, and can still be had") {
        Tape tape({.evaluator = Evaluator::fused});
        Var x = tape.variable(scattered({rows, columns})), a = exp(x), b = tanh(matmul(x, transpose(x)));
        Var whole = concatenate({a, b}, 1), failing = record(failing_op, {whole});
        std::vector<Var> both{record(failing_op, {sum(b)}), whole};
        CHECK_THROWS_WITH_AS(evaluate(both, Keep::all), "it fails", std::runtime_error);
        CHECK(tape.computed(failing.id()).empty());
        CHECK(whole.value().at(columns) == doctest::Approx(b.value().at(0)));
        CHECK(whole.value().at(0) == doctest::Approx(a.value().at(0)));
    }
}

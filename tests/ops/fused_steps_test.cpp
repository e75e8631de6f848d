#include <cotape/core/evaluate.hpp>

#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/memory_plan.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

namespace {

using namespace cotape;

Tensor draw(const Shape& shape, std::mt19937& random, Dtype dtype) {
    return Tensor::make<double>(shape, [&](std::span<double> elements) {
               for (double& element : elements) element = static_cast<double>(random() % 2001) / 1000 - 1;
           }).as(dtype);
}

/// Requires that what `record` records has the same bits from both evaluators.
void require_same_bits(const std::function<std::vector<Var>(Tape&)>& record, Keep keep) {
    std::vector<Tensor> values[2];
    for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused}) {
        Tape tape({.evaluator = evaluator});
        std::vector<Var> outputs = record(tape);
        evaluate(outputs, keep);
        for (Var output : outputs) values[evaluator == Evaluator::fused].push_back(output.value());
    }
    for (std::size_t i = 0; i < values[0].size(); ++i) {
        CAPTURE(i);
        REQUIRE(values[0][i].type() == values[1][i].type());
        REQUIRE(std::memcmp(values[0][i].bytes_begin(), values[1][i].bytes_begin(), values[0][i].bytes()) == 0);
    }
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("every chain of four arithmetic operations has the same bits fused and plain") {
        using Operation = Var (*)(Var, Var);
        const Operation operations[] = {+[](Var a, Var b) { return a + b; }, +[](Var a, Var b) { return a * b; },
                                        +[](Var a, Var b) { return a - b; }, +[](Var a, Var b) { return b - a; }};
        for (int code = 0; code < 256; ++code)
            for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                CAPTURE(code);
                auto record = [&](Tape& tape) {
                    std::mt19937 random(1);
                    Var x = tape.variable(draw({3, 700}, random, dtype)), y = x;
                    for (int rest = code, i = 0; i < 4; ++i, rest /= 4)
                        y = operations[rest % 4](y, tape.variable(draw({i == 2 ? 1 : 3, 700}, random, dtype)));
                    return std::vector<Var>{y, x * y - y * x};
                };
                require_same_bits(record, Keep::requested);
            }
    }

    TEST_CASE("slices have the same bits where steps read them in place of a copy") {
        for (Dtype dtype : {Dtype::float32, Dtype::float64})
            for (Keep keep : {Keep::all, Keep::requested})
                for (std::int64_t axis = 0; axis < 3; ++axis)
                    for (std::int64_t step : {1, 2, 5}) {
                        CAPTURE(axis);
                        CAPTURE(step);
                        auto record = [&](Tape& tape) {
                            std::mt19937 random(1);
                            Var x = tape.variable(draw({12, 30, 70}, random, dtype)), whole = x * 2 + 1;
                            Var first = slice(whole, axis, 1, 11, step), second = slice(whole, axis, 2, 12, step);
                            Var row = slice(whole, axis, 3, 4), y = tanh(first) * second + (first - row);
                            Var kept = slice(whole, axis, 0, 5); // asked for as well
                            return std::vector<Var>{y, kept, kept * 3, whole * row, max(first, {0}),
                                                    gradient(sum(tanh(first) * second), x)};
                        };
                        require_same_bits(record, keep);
                    }
    }

    TEST_CASE("a slice that only steps read is not put into memory") {
        Tape tape({.evaluator = Evaluator::fused});
        std::mt19937 random(1);
        Var x = tape.variable(draw({64, 512}, random, Dtype::float32));
        Var c = sigmoid(slice(x, 1, 0, 128)) * tanh(slice(x, 1, 128, 256)), copied = slice(x, 1, 256, 384);
        std::vector<Var> outputs{c, sum(copied)};
        evaluate(outputs, Keep::requested);
        int slices = 0;
        for (const MemoryPlan::Step& step : tape.memory_plan().steps) slices += step.writes == "slice";
        CHECK(slices == 1);
    }

    TEST_CASE("a value is not overwritten while a slice of it is read") {
        auto record = [](Tape& tape) {
            std::mt19937 random(1);
            Var x = exp(tape.variable(draw({40, 100}, random, Dtype::float32)));
            return std::vector<Var>{tanh(x) + slice(x, 0, 0, 1)};
        };
        require_same_bits(record, Keep::requested);
    }
}

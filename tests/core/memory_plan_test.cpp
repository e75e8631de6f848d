#include <cotape/core/memory_plan.hpp>

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "failing_op.hpp"

using namespace cotape;

namespace {

constexpr std::int64_t extent = 512;
constexpr std::size_t matrix = extent * extent * sizeof(float);
/// What groups take for themselves, tiles of at most 4 KiB for each step and thread, and the tape's own lists.
constexpr std::size_t scratch = matrix / 4;

Tensor filled(double value) { return Tensor::full({extent, extent}, value); }

/// The most that `evaluation` holds at once, beyond what there is before it.
template <class Evaluation>
std::size_t measured_peak(Evaluation evaluation) {
    reset_buffer_pool_peak();
    std::size_t before = buffer_pool_usage().in_use;
    evaluation();
    return buffer_pool_usage().peak_in_use - before;
}

std::size_t planned_peak(const MemoryPlan& plan) { return plan.peak_bytes - plan.bytes_before; }

constexpr TapeOptions fused{.evaluator = Evaluator::fused};

} // namespace

TEST_SUITE("core") {
    TEST_CASE("the planned peak is what the buffer pool measures, for both evaluators and whatever is kept") {
        for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused})
            for (Keep keep : {Keep::all, Keep::requested}) {
                Tape tape({.evaluator = evaluator});
                Var x = tape.variable(filled(0.01)), y = x;
                for (int i = 0; i < 4; ++i) y = tanh(matmul(y, x)) * exp(y);
                std::vector<Var> results{sum(y), gradient(sum(y), x)};
                std::size_t measured = measured_peak([&] { evaluate(results, keep); });
                MemoryPlan plan = tape.memory_plan();
                CAPTURE(plan.to_string());
                CHECK(plan.bytes_before == matrix);
                CHECK(measured >= planned_peak(plan));
                CHECK(measured <= planned_peak(plan) + scratch);
            }
    }

    TEST_CASE("a value is written over one that dies with it") {
        Tape tape(fused);
        Var x = tape.variable(filled(0.01)), product = matmul(x, x);
        std::vector<Var> results{tanh(product), exp(product)};
        std::size_t measured = measured_peak([&] { evaluate(results, Keep::requested); });
        CHECK(measured < 2 * matrix + scratch);
        MemoryPlan plan = tape.memory_plan();
        CHECK(planned_peak(plan) == 2 * matrix);
        CHECK(plan.steps.back().in_place == matrix);
        CHECK(results[0].value().at(5) == doctest::Approx(std::tanh(0.0512)));
        CHECK(results[1].value().at(5) == doctest::Approx(std::exp(0.0512)));
    }

    TEST_CASE("a value that somebody holds, or that another step reads later, is not written over") {
        Tape tape(fused);
        Var x = tape.variable(filled(0.01)), product = matmul(x, x), again = matmul(tanh(product), product);
        std::vector<Var> results{exp(product), again};
        evaluate(results, Keep::requested);
        CHECK(results[0].value().at(0) == doctest::Approx(std::exp(0.0512)));
        CHECK(again.value().at(0) == doctest::Approx(512 * std::tanh(0.0512) * 0.0512));

        Tape viewed(fused);
        Var z = viewed.variable(filled(0.01)), square = matmul(z, z), flat = reshape(square, {extent * extent});
        std::vector<Var> both{tanh(square), exp(flat), flat};
        evaluate(both, Keep::requested);
        CHECK(flat.value().at(0) == doctest::Approx(0.0512));
        CHECK(both[1].value().at(0) == doctest::Approx(std::exp(0.0512)));
    }

    TEST_CASE("Keep::all writes over nothing") {
        Tape tape(fused);
        Var x = tape.variable(filled(0.01)), product = matmul(x, x), y = tanh(product);
        evaluate({&y, 1}, Keep::all);
        CHECK(tape.computed(product.id()).at(7) == doctest::Approx(0.0512));
        CHECK(planned_peak(tape.memory_plan()) == 2 * matrix);
    }

    TEST_CASE("a state proposed in place keeps its memory; what reads the old value afterwards throws") {
        State state(filled(1));
        std::uintptr_t place = state.value().identity();
        Tape tape(fused);
        Var old = tape.variable(state), unread = old * 3;
        tape.propose(state, old * 2 + 1, {.in_place = true});
        std::size_t measured = measured_peak([&] { commit(tape); });
        CHECK(measured < scratch);
        CHECK(state.value().identity() == place);
        CHECK(state.value().at(0) == 3);
        CHECK(planned_peak(tape.memory_plan()) == 2 * 64); // the numbers 2 and 1
        CHECK_THROWS_WITH_AS(old.value(), "variable: its value is gone: a commit wrote a state's new value over it",
                             TapeError);
        CHECK_THROWS_AS(unread.value(), TapeError);
    }

    TEST_CASE("a state proposed in place is left alone where somebody else holds it or another step reads it") {
        State state(filled(1));
        Tensor held = state.value();
        Tape tape(fused);
        tape.propose(state, tape.variable(state) * 2, {.in_place = true});
        commit(tape);
        CHECK(held.at(0) == 1);
        CHECK(state.value().at(0) == 2);
        CHECK(tape.variable(held).value().at(0) == 1);

        held = Tensor();
        tape.clear();
        Var old = tape.variable(state), product = matmul(old, old);
        tape.propose(state, old + 1, {.in_place = true});
        commit(tape, {&product, 1});
        CHECK(state.value().at(0) == 3);
        CHECK(product.value().at(0) == 4 * extent);
        CHECK(old.value().at(0) == 2);
    }

    TEST_CASE("a commit that fails leaves states proposed in place as they were, to the bit") {
        State first(filled(1)), second(filled(1));
        Tape tape(fused);
        tape.propose(first, tape.variable(first) * 2, {.in_place = true});
        tape.propose(second, record(failing_op, {tape.variable(second)}) + 1, {.in_place = true});
        CHECK_THROWS_WITH_AS(commit(tape), "it fails", std::runtime_error);
        Tensor expected = filled(1);
        for (const State& state : {first, second})
            CHECK(std::memcmp(state.value().bytes_begin(), expected.bytes_begin(), expected.bytes()) == 0);
    }

    TEST_CASE("the plan names the peak, what is alive at it, and every step") {
        Tape tape(fused);
        CHECK_THROWS_WITH_AS(tape.memory_plan(), "memory_plan: nothing has been evaluated on this tape", TapeError);
        Var x = tape.variable(filled(0.01)), y;
        {
            Tape::ModuleScope scope(tape, "hidden", Where::current());
            y = matmul(x, x);
        }
        Var z = sum(tanh(y));
        evaluate({&z, 1}, Keep::requested);
        MemoryPlan plan = tape.memory_plan();
        REQUIRE(plan.steps.size() == 2);
        CHECK(plan.steps[0].writes == "matmul");
        CHECK(plan.steps[0].place == "memory_plan_test.cpp:" + std::to_string(y.node().where.line()) + " in hidden");
        CHECK(plan.steps[0].read == matrix); // twice the same
        CHECK(plan.steps[1].read == matrix);
        CHECK(plan.steps[1].freed == matrix);
        REQUIRE(plan.alive_at_peak.size() == 3);
        CHECK(plan.alive_at_peak[0].description.starts_with("variable float32 [512, 512], memory_plan_test.cpp:"));
        std::string text = plan.to_string();
        CHECK(text.starts_with("peak 2.00 MiB in step 2 of 2; 1.00 MiB were there before the first\n"));
        CHECK(text.find("    1.00 MiB  matmul float32 [512, 512], memory_plan_test.cpp:") != std::string::npos);
        CHECK(text.find("    2     2.00 MiB     1.00 MiB         64 B          0 B     1.00 MiB  "
                        "sum, memory_plan_test.cpp:") != std::string::npos);
        tape.clear();
        CHECK_THROWS_AS(tape.memory_plan(), TapeError);
    }
}

#include <cotape/core/state.hpp>

#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>

using namespace cotape;

namespace {

const Op failing_op{
    .name = "failing",
    .type = [](const Call& call) { return call.type(0); },
    .kernel = [](const Call&, const Type&, std::span<const Tensor>) -> Tensor {
        throw std::runtime_error("the kernel fails");
    },
};

} // namespace

TEST_SUITE("core") {
    TEST_CASE("copies of a state are the same cell; two states are not") {
        State a(Tensor(1.0)), copy = a, b(Tensor(1.0));
        copy.assign(Tensor(2.0));
        CHECK(a.value().item() == 2);
        CHECK(b.value().item() == 1);
        CHECK(a.id() == copy.id());
        CHECK(a.id() != b.id());
    }

    TEST_CASE("each change of a state makes its version grow") {
        State state(Tensor(1.0));
        std::uint64_t version = state.version();
        state.assign(Tensor(2.0));
        CHECK(state.version() > version);
        version = state.version();
        Tape tape;
        tape.propose(state, tape.variable(state) + 1);
        CHECK(state.version() == version);
        commit(tape);
        CHECK(state.version() > version);
        CHECK(state.value().item() == 3);
    }

    TEST_CASE("a state keeps its type") {
        State state(Tensor::full({2}, 1));
        CHECK_THROWS_WITH_AS(state.assign(Tensor::full({3}, 1)), "assign: the state holds float32 [2], got float32 [3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(state.assign(Tensor::full({2}, 1, Dtype::float64)),
                             "assign: the state holds float32 [2], got float64 [2]", DtypeError);
        CHECK_THROWS_WITH_AS(state.assign(Tensor()), "assign: the tensor is empty", ValueError);
        CHECK_THROWS_WITH_AS(State{Tensor()}, "state: the initial tensor is empty", ValueError);
        CHECK(state.version() == 0);
    }

    TEST_CASE("a tape reads a state once: the same Var each time, also to differentiate with respect to") {
        State state(Tensor(3.0));
        Tape tape;
        Var x = tape.variable(state);
        CHECK(is_same(x, tape.variable(state)));
        CHECK(gradient(x * x, tape.variable(state)).item() == 6);
    }

    TEST_CASE("proposals change nothing until they are committed, and are gone afterwards") {
        State state(Tensor(1.0));
        Tape tape;
        CHECK(is_same(tape.proposed(state), tape.variable(state)));
        tape.propose(state, tape.variable(state) + 1);
        CHECK(tape.has_proposal(state));
        CHECK(tape.proposed(state).item() == 2);
        CHECK(state.value().item() == 1);
        commit(tape);
        CHECK(state.value().item() == 2);
        CHECK_FALSE(tape.has_proposal(state));
        commit(tape);
        CHECK(state.value().item() == 2);
    }

    TEST_CASE("a later proposal replaces an earlier one, and may build on it") {
        State state(Tensor(1.0));
        Tape tape;
        tape.propose(state, tape.proposed(state) + 1);
        tape.propose(state, tape.proposed(state) * 10);
        commit(tape);
        CHECK(state.value().item() == 20);
        CHECK(state.version() == 1);
    }

    TEST_CASE("a commit applies all proposals, each computed from the values of before") {
        State a(Tensor(1.0)), b(Tensor(2.0));
        Tape tape;
        Var old_a = tape.variable(a), old_b = tape.variable(b);
        tape.propose(a, old_b + 0);
        tape.propose(b, old_a + 0);
        commit(tape);
        CHECK(a.value().item() == 2);
        CHECK(b.value().item() == 1);
    }

    TEST_CASE("a commit in which a kernel throws changes nothing, and can be repeated without the culprit") {
        State good(Tensor(1.0)), bad(Tensor(2.0));
        Tape tape;
        tape.propose(good, tape.variable(good) + 1);
        tape.propose(bad, record(failing_op, {tape.variable(bad)}));
        CHECK_THROWS_WITH_AS(commit(tape), "the kernel fails", std::runtime_error);
        CHECK(good.value().item() == 1);
        CHECK(good.version() == 0);
        CHECK(bad.version() == 0);
        CHECK(tape.has_proposal(good));
        tape.propose(bad, tape.variable(bad) + 1);
        commit(tape);
        CHECK(good.value().item() == 2);
        CHECK(bad.value().item() == 3);
    }

    TEST_CASE("a state that changed since the tape read it cannot be read or committed any more") {
        State stale(Tensor(1.0)), other(Tensor(1.0));
        Tape tape;
        tape.propose(other, tape.variable(other) + 1);
        tape.propose(stale, tape.variable(stale) + 1);
        stale.assign(Tensor(5.0));
        constexpr const char* message =
            "variable: the state has changed since this tape read it; record each step on a new tape";
        CHECK_THROWS_WITH_AS(tape.variable(stale), message, TapeError);
        CHECK_THROWS_WITH_AS(commit(tape), "commit: a state has changed since this tape read it; nothing was committed",
                             TapeError);
        CHECK(stale.value().item() == 5);
        CHECK(other.value().item() == 1);
        tape.clear();
        CHECK(tape.variable(stale).item() == 5);
    }

    TEST_CASE("of two tapes that read the same state, only the first commits") {
        State state(Tensor(1.0));
        Tape first, second;
        first.propose(state, first.variable(state) + 1);
        second.propose(state, second.variable(state) + 10);
        commit(first);
        CHECK_THROWS_AS(commit(second), TapeError);
        CHECK(state.value().item() == 2);
        CHECK_THROWS_AS(first.variable(state), TapeError);
    }

    TEST_CASE("a proposal of another type names both") {
        State state(Tensor::full({2}, 1));
        Tape tape;
        CHECK_THROWS_WITH_AS(tape.propose(state, tape.full({3}, 1, Dtype::float32)),
                             "propose: the state holds float32 [2], got float32 [3]", ShapeError);
        CHECK_THROWS_WITH_AS(tape.propose(state, tape.full({2}, 1, Dtype::float64)),
                             "propose: the state holds float32 [2], got float64 [2]", DtypeError);
        CHECK_FALSE(tape.has_proposal(state));
    }

    TEST_CASE("a commit computes further values in the same pass") {
        State state(Tensor(2.0));
        Tape tape;
        Var x = tape.variable(state), square = x * x, unread = square * x;
        tape.propose(state, square + 1);
        commit(tape, std::vector{square});
        CHECK(tape.computed(square.id()).item() == 4);
        CHECK(tape.computed(unread.id()).empty());
        CHECK(square.item() == 4);
        CHECK(state.value().item() == 5);
    }

    TEST_CASE("a Var can stand for a state, in another element type") {
        State state(Tensor(2.0f));
        Tape tape;
        Var x = tape.variable(Tensor(3.0));
        tape.bind(state, x);
        CHECK(is_same(tape.variable(state), x));
        CHECK_THROWS_WITH_AS(tape.bind(state, x), "bind: the tape has read the state already", TapeError);
        tape.propose(state, x * 2);
        CHECK_THROWS_WITH_AS(commit(tape),
                             "commit: a state is bound to another element type on this tape; nothing was committed",
                             TapeError);
        CHECK(state.value().item() == 2);
        State row(Tensor::full({2}, 1));
        CHECK_THROWS_WITH_AS(tape.bind(row, x), "bind: the state holds float32 [2], got float64 []", ShapeError);
        Tape other;
        CHECK_THROWS_WITH_AS(other.bind(state, x), "bind: the value is on another tape", TapeError);
    }
}

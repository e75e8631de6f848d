#include <cotape/core/var.hpp>

#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>

using namespace cotape;

namespace {

constexpr const char* unset = "var: used before it was given a value";
constexpr const char* gone = "var: its tape was cleared or destroyed";

/// Everything one can do with a Var throws `message`; `x` is a good one.
void check_all_throw(Var bad, Var x, const char* message) {
    CHECK_THROWS_WITH_AS(bad.type(), message, TapeError);
    CHECK_THROWS_WITH_AS(bad.value(), message, TapeError);
    CHECK_THROWS_WITH_AS(bad.item(), message, TapeError);
    CHECK_THROWS_WITH_AS(bad.node(), message, TapeError);
    CHECK_THROWS_WITH_AS(bad + 1, message, TapeError);
    CHECK_THROWS_WITH_AS(1 + bad, message, TapeError);
    CHECK_THROWS_WITH_AS(bad + x, message, TapeError);
    CHECK_THROWS_WITH_AS(x + bad, message, TapeError);
    CHECK_THROWS_WITH_AS(gelu(bad), message, TapeError);
    CHECK_THROWS_WITH_AS(gradient(bad, x), message, TapeError);
    CHECK_THROWS_WITH_AS(gradient(bad, x, x), message, TapeError);
    CHECK_THROWS_WITH_AS(gradient(x, bad), message, TapeError);
    CHECK_THROWS_WITH_AS(jvp(bad, x, x), message, TapeError);
    CHECK_THROWS_WITH_AS(jvp(x, bad, x), message, TapeError);
    CHECK_THROWS_WITH_AS(jvp(x, x, bad), message, TapeError);
    CHECK_THROWS_WITH_AS(hvp(bad, x, x), message, TapeError);
    CHECK_THROWS_WITH_AS(evaluate({&bad, 1}), message, TapeError);
    CHECK_THROWS_WITH_AS(x.tape().propose(State(Tensor(1.0)), bad), message, TapeError);
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a default Var is false, and an error to use") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        CHECK_FALSE(Var());
        CHECK(x);
        check_all_throw(Var(), x, unset);
        CHECK_THROWS_WITH_AS(Var().tape(), unset, TapeError);
        CHECK(tape.size() == 1);
    }

    TEST_CASE("a Var of a cleared tape is an error to use, and never means a later node") {
        Tape tape;
        Var stale = tape.variable(Tensor(1.0));
        tape.clear();
        Var x = tape.variable(Tensor(2.0));
        CHECK(stale.id() == x.id());
        CHECK_FALSE(is_same(stale, x));
        check_all_throw(stale, x, gone);
        CHECK_THROWS_WITH_AS(stale.tape(), gone, TapeError);
    }

    TEST_CASE("a Var of a destroyed tape is an error to use") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), stale;
        {
            Tape other;
            stale = other.variable(Tensor(1.0));
        }
        check_all_throw(stale, x, gone);
    }

    TEST_CASE("a Var of a destroyed tape is an error even with a new tape at the same address") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        std::optional<Tape> slot;
        slot.emplace();
        Var stale = slot->variable(Tensor(1.0));
        const Tape* address = &*slot;
        slot.emplace();
        CHECK(&*slot == address);
        Var fresh = slot->variable(Tensor(2.0));
        check_all_throw(stale, x, gone);
        CHECK_THROWS_WITH_AS(fresh + stale, gone, TapeError);
        CHECK(fresh.item() == 2);
    }

    TEST_CASE("a Var knows whether it is still recorded") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), stale, gone;
        {
            Tape::Transaction transaction(tape);
            stale = x + 1;
            CHECK(stale.is_recorded());
        }
        {
            Tape other;
            gone = other.variable(Tensor(1.0));
        }
        Var later = x * 2;
        CHECK(later.is_recorded());
        CHECK(x.is_recorded());
        CHECK_FALSE(stale.is_recorded());
        CHECK_FALSE(gone.is_recorded());
        CHECK_FALSE(Var().is_recorded());
        tape.clear();
        CHECK_FALSE(x.is_recorded());
    }

    TEST_CASE("a Var that was rolled back is an error to use") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), stale;
        {
            Tape::Transaction transaction(tape);
            stale = x * 3 + 1;
        }
        check_all_throw(stale, x, "var: its recording was rolled back");
    }

    TEST_CASE("a Var that was rolled back never means a later node") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), stale;
        {
            Tape::Transaction transaction(tape);
            stale = x + 1;
        }
        Var later = x * 2;
        later = later * later;
        CHECK_THROWS_WITH_AS(stale.value(), "var: its recording was rolled back", TapeError);
    }

    TEST_CASE("variables of two tapes do not mix") {
        Tape a, b;
        Var x = a.variable(Tensor(1.0)), y = b.variable(Tensor(1.0));
        std::size_t size = a.size();
        CHECK_THROWS_WITH_AS(x + y, "add: its arguments are on two tapes", TapeError);
        CHECK_THROWS_WITH_AS(gradient(x, y), "gradients: the variables are on two tapes", TapeError);
        CHECK_THROWS_WITH_AS(gradient(x, x, y), "gradients: the variables are on two tapes", TapeError);
        CHECK_THROWS_WITH_AS(jvp(x, x, y), "gradients: the variables are on two tapes", TapeError);
        CHECK_THROWS_WITH_AS(evaluate(std::vector{x, y}), "evaluate: the variables are on two tapes", TapeError);
        CHECK_THROWS_WITH_AS(a.propose(State(Tensor(1.0)), y), "propose: the value is on another tape", TapeError);
        CHECK(a.size() == size);
        CHECK_FALSE(is_same(x, y));
    }

    TEST_CASE("a tape belongs to the thread that made it") {
        Tape tape;
        State state(Tensor(1.0));
        Var x = tape.variable(Tensor(1.0)), y = x + 1;
        constexpr const char* foreign = "tape: used from a thread other than the one that made it";
        std::thread([&] {
            CHECK_THROWS_WITH_AS(x * 2, foreign, TapeError);
            CHECK_THROWS_WITH_AS(x.value(), foreign, TapeError);
            CHECK_THROWS_WITH_AS(y.value(), foreign, TapeError);
            CHECK_THROWS_WITH_AS(gradient(y, x), foreign, TapeError);
            CHECK_THROWS_WITH_AS(jvp(y, x, x), foreign, TapeError);
            CHECK_THROWS_WITH_AS(tape.variable(Tensor(1.0)), foreign, TapeError);
            CHECK_THROWS_WITH_AS(tape.variable(state), foreign, TapeError);
            CHECK_THROWS_WITH_AS(tape.propose(state, x), foreign, TapeError);
            CHECK_THROWS_WITH_AS(tape.clear(), foreign, TapeError);
            CHECK_THROWS_WITH_AS(commit(tape), foreign, TapeError);
        }).join();
        CHECK(y.item() == 2);
    }

    TEST_CASE("each thread may have a tape of its own") {
        std::vector<double> results(4);
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < results.size(); ++i)
            threads.emplace_back([&results, i] {
                for (int step = 0; step < 100; ++step) {
                    Tape tape;
                    Var x = tape.variable(Tensor(static_cast<double>(i)));
                    results[i] = gradient(x * x * x, x).item();
                }
            });
        for (std::thread& thread : threads) thread.join();
        for (std::size_t i = 0; i < results.size(); ++i) CHECK(results[i] == 3.0 * static_cast<double>(i * i));
    }
}

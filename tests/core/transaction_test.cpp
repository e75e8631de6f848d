#include <cotape/core/tape.hpp>

#include <stdexcept>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/ops/arithmetic.hpp>

using namespace cotape;

namespace {

struct Interruption : std::exception {};

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a transaction takes back what was recorded, unless it is kept") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0)), y = x * x;
        std::size_t size = tape.size();
        try {
            Tape::Transaction transaction(tape);
            (y + 1).value();
            throw Interruption();
        } catch (const Interruption&) {
        }
        CHECK(tape.size() == size);
        CHECK(y.item() == 4);
        {
            Tape::Transaction transaction(tape);
            y + 1;
            transaction.keep();
        }
        CHECK(tape.size() == size + 2);
    }

    TEST_CASE("after a rollback, what was there before is found again and what was not is recorded anew") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0)), y = x * x;
        std::size_t size = tape.size();
        {
            Tape::Transaction transaction(tape);
            Var z = y + 1;
            for (int i = 0; i < 200; ++i) z = z * x;
            z.value();
        }
        CHECK(is_same(y, x * x));
        CHECK(tape.size() == size);
        Var z = y - 1;
        CHECK(tape.size() == size + 2);
        CHECK(z.item() == 3);
    }

    TEST_CASE("a number that was taken back, or cleared, is recorded anew") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0));
        {
            Tape::Transaction transaction(tape);
            x + 7;
        }
        CHECK((x * 5).item() == 10);
        CHECK((x * 7).item() == 14);
        CHECK(tape.size() == 5);
        tape.clear();
        x = tape.variable(Tensor(3.0));
        CHECK((x * 5).item() == 15);
        CHECK((x * 7).item() == 21);
        CHECK(tape.size() == 5);
    }

    TEST_CASE("a rollback takes back readings and proposals of states") {
        Tape tape;
        State kept(Tensor(1.0)), dropped(Tensor(2.0));
        Var k = tape.variable(kept);
        tape.propose(kept, k + 1);
        {
            Tape::Transaction transaction(tape);
            tape.propose(kept, k + 10);
            tape.propose(dropped, tape.variable(dropped) + 10);
            CHECK(tape.has_proposal(dropped));
        }
        CHECK_FALSE(tape.has_proposal(dropped));
        CHECK(tape.proposed(kept).item() == 2);
        dropped.assign(Tensor(5.0));
        CHECK(tape.variable(dropped).item() == 5);
        commit(tape);
        CHECK(kept.value().item() == 2);
        CHECK(dropped.value().item() == 5);
    }

    TEST_CASE("an inner transaction that is kept goes with the outer one") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0));
        {
            Tape::Transaction outer(tape);
            Tape::Transaction inner(tape);
            x * x;
            inner.keep();
        }
        CHECK(tape.size() == 1);
    }

    TEST_CASE("a tape that is cleared inside a transaction keeps what is recorded afterwards well-formed") {
        Tape tape;
        for (int i = 0; i < 10; ++i) tape.variable(Tensor(1.0));
        Var x;
        {
            Tape::Transaction transaction(tape);
            tape.clear();
            x = tape.variable(Tensor(3.0));
        }
        CHECK(tape.size() == 1);
        CHECK((x + 1).item() == 4);
        {
            Tape::Transaction transaction(tape);
            tape.clear();
            x = tape.variable(Tensor(3.0));
            for (std::size_t rank = 0; rank < 10; ++rank) x = x + tape.full(Shape(rank, 1), 1, Dtype::float64);
        }
        CHECK(x.shape() == Shape(9, 1));
        CHECK(x.item() == 13);
        CHECK(tape.size() == 21);
    }

    TEST_CASE("the users of a value that are taken back are not found, and those that stay are, whichever came first") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0)), y = tape.variable(Tensor(3.0));
        Var kept = x * x;
        {
            Tape::Transaction transaction(tape);
            x * y;
            y - x;
            x + x;
            kept * y;
        }
        CHECK(tape.size() == 3);
        Var difference = y - x, product = x * y;
        CHECK(tape.size() == 5);
        CHECK(difference.item() == 1);
        CHECK(product.item() == 6);
        CHECK(is_same(kept, x * x));
        CHECK(is_same(difference, y - x));
        CHECK(is_same(product, x * y));
        CHECK(tape.size() == 5);
    }
}

#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

std::size_t bytes_held() { return buffer_pool_usage().in_use + buffer_pool_usage().kept; }

struct Chain {
    std::size_t forward_nodes;
    std::size_t all_nodes;
    double value;
    double derivative;
};

/// x times 0.5 or 2, in turns, `length` times over, and its derivative.
Chain chain(std::int64_t length) {
    Tape tape;
    Var x = tape.variable(Tensor(3.0)), y = x;
    for (std::int64_t i = 0; i < length; ++i) y = y * (i % 2 == 0 ? 0.5 : 2.0);
    std::size_t forward_nodes = tape.size();
    Var derivative = gradient(y, x);
    evaluate(std::vector{y, derivative}, Keep::requested);
    return {forward_nodes, tape.size(), y.item(), derivative.item()};
}

/// One step of gradient descent on |tanh(x w) - target|^2; the number of nodes it took.
std::size_t train(Tape& tape, const State& weights, const Tensor& inputs, const Tensor& targets) {
    Var w = tape.variable(weights);
    Var loss = mean(square(tanh(matmul(tape.constant(inputs), w)) - tape.constant(targets)));
    tape.propose(weights, w - 0.1 * gradient(loss, w));
    commit(tape);
    return tape.size();
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a chain of a million nodes records, differentiates, evaluates and is freed, at linear cost") {
        constexpr std::int64_t length = 1'000'000;
        std::size_t before = buffer_pool_usage().in_use;
        Chain whole = chain(length), tenth = chain(length / 10);
        CHECK(whole.value == 3);
        CHECK(whole.derivative == 1);
        // Beside the chain: x and the two factors; in the derivative, the seed and one product for each link.
        CHECK(whole.forward_nodes == length + 3);
        CHECK(whole.all_nodes == 2 * length + 4);
        CHECK(tenth.forward_nodes == length / 10 + 3);
        CHECK(tenth.all_nodes == 2 * (length / 10) + 4);
        CHECK(buffer_pool_usage().in_use == before);
    }

    TEST_CASE("evaluating a long chain with Keep::requested holds a few buffers at a time") {
        auto peak_of = [](int length) {
            Tape tape;
            Var y = tape.variable(Tensor::full({1000}, 1));
            for (int i = 0; i < length; ++i) y = tanh(y);
            reset_buffer_pool_peak();
            std::size_t before = buffer_pool_usage().in_use;
            evaluate({&y, 1}, Keep::requested);
            return buffer_pool_usage().peak_in_use - before;
        };
        CHECK(peak_of(1000) == peak_of(10));
        CHECK(peak_of(10) <= 8 * 4096); // of 4000 bytes each
    }

    TEST_CASE("ten thousand training steps run at constant memory, on one tape or on a new one each") {
        for (bool reuse : {false, true})
            SUBCASE(reuse ? "one tape, cleared" : "a new tape each step") {
                State weights(Tensor::full({8, 2}, 0.01));
                Tensor inputs = Tensor::full({4, 8}, 0.5), targets = Tensor::full({4, 2}, 0.9);
                Tape kept;
                std::size_t nodes = 0, bytes = 0;
                for (int step = 0; step < 10'000; ++step) {
                    Tape fresh;
                    Tape& tape = reuse ? kept : fresh;
                    tape.clear();
                    std::size_t now = train(tape, weights, inputs, targets);
                    if (step == 100) nodes = now, bytes = bytes_held();
                    if (step > 100 && (now != nodes || bytes_held() != bytes)) FAIL("it grew at step ", step);
                }
                CHECK(nodes > 10);
                Tape tape;
                Var output = tanh(matmul(tape.constant(inputs), tape.variable(weights)));
                CHECK(output.value().at(0) == doctest::Approx(0.9).epsilon(1e-3));
            }
    }

    TEST_CASE("a node read by many others is differentiated once") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), y = tanh(x), total = y;
        for (int i = 0; i < 1000; ++i) total = total + i * y;
        std::size_t forward = tape.size();
        gradient(total, x);
        // A product and a sum for each reader, and a handful for tanh.
        CHECK(tape.size() - forward < 2 * 1000 + 10);
    }

    TEST_CASE("a diamond stacked a hundred times is differentiated at linear cost") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), y = x;
        for (int i = 0; i < 100; ++i) y = tanh(y) + 0.5 * y; // 2^100 paths
        std::size_t forward = tape.size();
        gradient(y, x);
        CHECK(tape.size() < 4 * forward);
    }
}

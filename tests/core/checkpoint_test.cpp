#include <cotape/core/checkpoint.hpp>

#include <algorithm>
#include <cmath>
#include <random>

#include <doctest/doctest.h>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/draws.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>

#include "../nn/numbers.hpp"

using namespace cotape;
using cotape::testing::same_bits;

namespace {

using Vars = std::vector<Var>;

bool close(const Tensor& a, const Tensor& b) {
    for (std::int64_t i = 0; i < a.size(); ++i)
        if (!(std::fabs(a.at(i) - b.at(i)) <= 1e-13 * std::fmax(1, std::fabs(b.at(i))))) return false;
    return a.type() == b.type();
}

/// A composed function of two inputs, with an inner value that is used several times.
Var mixture(const Vars& x) {
    Var inner = tanh(matmul(x[0], x[1]));
    return exp(inner) * inner + x[0];
}

struct Inputs {
    Tape tape;
    Var a = tape.variable(Tensor::of<double>({2, 2}, {0.3, -0.5, 0.8, 0.2}));
    Var b = tape.variable(Tensor::of<double>({2, 2}, {0.7, 0.1, -0.4, 0.6}));
    Var weights = tape.constant(Tensor::of<double>({2, 2}, {1, -2, 3, 0.5}));
    Var direction = tape.constant(Tensor::of<double>({2, 2}, {0.2, 1, -0.7, 2}));
};

/// A program of random operations on values that were there before, some of them in functions of their own: with
/// checkpoints or without, the same one for the same seed.
class RandomProgram {
  public:
    RandomProgram(unsigned seed, bool checkpoints) : random_(seed), checkpoints_(checkpoints) {}
    Var run(const Vars& inputs) { return block(inputs, 3, 5); }

  private:
    Var one_of(const Vars& values) { return values[draw_below(random_, values.size())]; }

    Var block(Vars values, int depth, int length) {
        for (int i = 0; i < length; ++i) {
            Var a = one_of(values), b = one_of(values);
            switch (draw_below(random_, depth > 0 ? 7 : 5)) {
            case 0: values.push_back(0.5 * (a + b)); break;
            case 1: values.push_back(tanh(a * b)); break;
            case 2: values.push_back(tanh(matmul(a, b))); break;
            case 3: values.push_back(exp(0.3 * a) * sum(b, {0})); break;
            case 4: values.push_back(a - 0.3 * mean(b)); break;
            default: {
                auto function = [&](const Vars& x) {
                    Vars all = values;
                    all.insert(all.end(), x.begin(), x.end());
                    return block({x[0], x[1], one_of(all)}, depth - 1, 3);
                };
                values.push_back(checkpoints_ ? checkpoint(function, {a, b}) : function({a, b}));
            }
            }
        }
        Var total = values[0];
        for (std::size_t i = 1; i < values.size(); ++i) total = total + values[i];
        return total * (1.0 / static_cast<double>(values.size()));
    }

    std::mt19937 random_;
    bool checkpoints_;
};

/// How a chain of 64 steps is recorded, and what of it is asked for.
struct Chain {
    Evaluator evaluator;
    int steps_of_a_checkpoint = 0;
    bool nested = false;
    bool with_weights = false;
};

/// How many matrices an evaluation of the chain's gradients holds at its peak.
double peak_matrices(const Chain& options) {
    const std::int64_t n = 32;
    const int steps = 64, steps_of_a_checkpoint = options.steps_of_a_checkpoint;
    Tape tape({.evaluator = options.evaluator});
    Var w = tape.variable(Tensor::full({n, n}, 1.0 / static_cast<double>(n), Dtype::float64));
    Var x = tape.variable(Tensor::full({n, n}, 0.1, Dtype::float64)), y = x;
    auto chain = [&](Var y, int count) {
        for (int i = 0; i < count; ++i) y = tanh(matmul(y, w));
        return y;
    };
    for (int done = 0; done < steps; done += std::max(1, steps_of_a_checkpoint)) {
        if (steps_of_a_checkpoint == 0)
            y = chain(y, 1);
        else if (!options.nested)
            y = checkpoint([&](const Vars& in) { return chain(in[0], steps_of_a_checkpoint); }, {y});
        else
            y = checkpoint(
                [&](const Vars& in) {
                    Var inner = in[0];
                    for (int i = 0; i < steps_of_a_checkpoint / 4; ++i)
                        inner = checkpoint([&](const Vars& deeper) { return chain(deeper[0], 4); }, {inner});
                    return inner;
                },
                {y});
    }
    Vars results = gradients(sum(y * y), options.with_weights ? Vars{x, w} : Vars{x});
    std::size_t before = buffer_pool_usage().in_use;
    reset_buffer_pool_peak();
    evaluate(results, Keep::requested);
    return static_cast<double>(buffer_pool_usage().peak_in_use - before) / static_cast<double>(8 * n * n);
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE_FIXTURE(
        Inputs, "a checkpoint has the value of its function, to the bit, and its derivatives of orders one to three") {
        Var plain = mixture({a, b}), kept = checkpoint(mixture, {a, b});
        CHECK(same_bits(plain.value(), kept.value()));
        Var f = sum(plain * weights), h = sum(kept * weights);
        for (int order = 1; order <= 3; ++order) {
            CAPTURE(order);
            for (Var x : {a, b}) CHECK(close(gradient(h, x).value(), gradient(f, x).value()));
            f = sum(gradient(f, a) * direction + gradient(f, b) * weights);
            h = sum(gradient(h, a) * direction + gradient(h, b) * weights);
        }
    }

    TEST_CASE_FIXTURE(Inputs, "a checkpoint differentiates forward, and in every mixture of modes") {
        for (int mixture_of_modes = 0; mixture_of_modes < 8; ++mixture_of_modes) {
            CAPTURE(mixture_of_modes);
            Var f = sum(mixture({a, b}) * weights), h = sum(checkpoint(mixture, {a, b}) * weights);
            for (int order = 0; order < 3; ++order) {
                auto next = [&](Var y) {
                    return mixture_of_modes >> order & 1 ? jvp(y, a, direction) : sum(gradient(y, a) * direction);
                };
                f = next(f);
                h = next(h);
                CHECK(h.item() == doctest::Approx(f.item()).epsilon(1e-12));
            }
        }
    }

    TEST_CASE_FIXTURE(Inputs, "variables that the function reads besides its inputs get their gradients, once") {
        // The function reads b, and also what was computed from a and b before: each path counts once.
        Var before = matmul(a, b);
        auto function = [&](const Vars& x) { return sum(exp(x[0] * before) * b * weights); };
        Var plain = function({a * b}), kept = checkpoint(function, {a * b});
        for (Var x : {a, b, before}) CHECK(close(gradient(kept, x).value(), gradient(plain, x).value()));
        CHECK(close(gradient(sum(gradient(kept, a) * weights), b).value(),
                    gradient(sum(gradient(plain, a) * weights), b).value()));
    }

    TEST_CASE("a parameter that is first read inside gets its gradient") {
        State weight(Tensor(3.0));
        Tape tape;
        Var x = tape.variable(Tensor(0.5));
        Var y = checkpoint([&](const Vars& in) { return exp(in[0] * tape.variable(weight)); }, {x});
        CHECK(gradient(y, tape.variable(weight)).item() == doctest::Approx(0.5 * std::exp(1.5)).epsilon(1e-15));
        CHECK(gradient(y, x).item() == doctest::Approx(3 * std::exp(1.5)).epsilon(1e-15));
    }

    TEST_CASE_FIXTURE(Inputs,
                      "an input that is given twice, or that the function also reads by itself, counts once a use") {
        auto plain = [&](const Vars& x) { return sum(exp(x[0]) * x[1] * a * weights); };
        for (Vars inputs : {Vars{a, a}, Vars{a, b}, Vars{b, a * b}}) {
            Var f = plain(inputs), h = checkpoint(plain, inputs);
            for (int order = 1; order <= 3; ++order) {
                for (Var x : {a, b}) CHECK(close(gradient(h, x).value(), gradient(f, x).value()));
                f = sum(gradient(f, a) * direction);
                h = sum(gradient(h, a) * direction);
            }
        }
    }

    TEST_CASE_FIXTURE(Inputs, "a checkpoint within one, of values from outside, is computed again as a whole") {
        auto inner = [&](Var outside) {
            return [=](const Vars& x) { return tanh(x[0] * x[0]) * outside; };
        };
        Var f = sum(inner(b)({a}) * b * weights);
        Var h = sum(checkpoint([&](const Vars& x) { return checkpoint(inner(x[0]), {a}) * x[0]; }, {b}) * weights);
        for (int order = 1; order <= 3; ++order) {
            for (Var x : {a, b}) CHECK(close(gradient(h, x).value(), gradient(f, x).value()));
            f = sum(gradient(f, a) * direction + gradient(f, b) * weights);
            h = sum(gradient(h, a) * direction + gradient(h, b) * weights);
        }
    }

    TEST_CASE("random programs have the same derivatives with checkpoints as without, nested anyhow") {
        for (unsigned seed = 0; seed < 30; ++seed) {
            CAPTURE(seed);
            Inputs inputs;
            Var f = RandomProgram(seed, false).run({inputs.a, inputs.b}),
                h = RandomProgram(seed, true).run({inputs.a, inputs.b});
            for (unsigned order = 1; order <= 3; ++order) {
                f = sum(f * inputs.weights);
                h = sum(h * inputs.weights);
                Tensor slope = gradient(h, inputs.a).value(), wanted = gradient(f, inputs.a).value();
                for (std::int64_t i = 0; i < 4; ++i)
                    CHECK(std::fabs(slope.at(i) - wanted.at(i)) <= 1e-11 * (1 + std::fabs(wanted.at(i))));
                auto next = [&](Var y) {
                    return (seed + order) % 2 ? jvp(y, inputs.b, inputs.direction) * inputs.a : gradient(y, inputs.b);
                };
                f = next(f);
                h = next(h);
            }
        }
    }

    TEST_CASE_FIXTURE(Inputs,
                      "checkpoints nest, follow each other, and may be given what other inputs were made from") {
        auto step = [](const Vars& x) { return tanh(x[0]) * x[1]; };
        auto outer = [&](const Vars& x) {
            Var inner = checkpoint(step, {exp(x[0]), x[1]});
            return checkpoint(step, {inner, x[1]}) + inner;
        };
        auto plain = [&](const Vars& x) {
            Var inner = step({exp(x[0]), x[1]});
            return step({inner, x[1]}) + inner;
        };
        Var f = sum(plain({a, a * b}) * weights), h = sum(checkpoint(outer, {a, a * b}) * weights);
        for (int order = 1; order <= 3; ++order) {
            for (Var x : {a, b}) CHECK(close(gradient(h, x).value(), gradient(f, x).value()));
            f = sum(gradient(f, a) * direction);
            h = sum(gradient(h, a) * direction);
        }
    }

    TEST_CASE_FIXTURE(Inputs, "a checkpoint may give back its input, a value of its own, or take integers") {
        CHECK(close(gradient(sum(checkpoint([](const Vars& x) { return x[0]; }, {a}) * weights), a).value(),
                    weights.value()));
        CHECK(is_same(checkpoint([&](const Vars&) { return b; }, {a}), b));
        Var rows = tape.constant(Tensor::of<std::int64_t>({2}, {1, 1}));
        Var picked = checkpoint([](const Vars& x) { return take(square(x[0]), x[1]); }, {a, rows});
        CHECK(gradient(sum(picked), a).value().at(2) == 4 * 0.8);
        CHECK(gradient(sum(picked), a).value().at(0) == 0);
    }

    TEST_CASE_FIXTURE(Inputs, "the function is called once, and what is computed again is the user's line") {
        int calls = 0;
        Var y = checkpoint(
            [&](const Vars& x) {
                ++calls;
                return exp(x[0]);
            },
            {a});
        unsigned line = __LINE__ - 3;
        std::size_t size = tape.size();
        gradient(gradient(sum(y), a), a, weights).value();
        CHECK(calls == 1);
        bool again = false;
        for (std::size_t id = size; id < tape.size(); ++id) {
            const Node& node = tape.node(static_cast<NodeId>(id));
            if (node.op->name == "exp") again = again || node.where.line() == line;
        }
        CHECK(again);
    }

    TEST_CASE("a chain with a checkpoint for every sqrt(n) steps keeps about 2 sqrt(n) values, under both evaluators") {
        for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused}) {
            CAPTURE(static_cast<int>(evaluator));
            // 64 values, and what a step of the reverse pass holds.
            CHECK(peak_matrices({evaluator}) >= 64);
            // 8 values at the checkpoints, 8 within one.
            CHECK(peak_matrices({evaluator, 8}) <= 8 + 8 + 4);
            // 4 at the checkpoints, 4 within one of those, 4 steps.
            CHECK(peak_matrices({evaluator, 16, true}) <= 4 + 4 + 4 + 4);
            // Within a checkpoint, the gradient of the weights is one product of 8 values and 8 cotangents put
            // together; the parts from all checkpoints are added up, 8 at a time.
            CHECK(peak_matrices({.evaluator = evaluator, .with_weights = true}) >= 128);
            CHECK(peak_matrices({.evaluator = evaluator, .steps_of_a_checkpoint = 8, .with_weights = true}) <=
                  8 + 4 * 8 + 8);
        }
    }

    TEST_CASE("a checkpoint refuses no inputs and strays, and leaves the tape as it was when its function throws") {
        Tape tape, elsewhere;
        Var x = tape.variable(Tensor(1.0)), stray = elsewhere.variable(Tensor(1.0));
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(checkpoint(nullptr, {x}), "checkpoint: needs a function, got none", ValueError);
        CHECK_THROWS_WITH_AS(checkpoint([](const Vars& in) { return in[0]; }, {}),
                             "checkpoint: needs at least one input", ValueError);
        CHECK_THROWS_WITH_AS(checkpoint([](const Vars& in) { return in[0]; }, {x, stray}),
                             "checkpoint: its inputs are on two tapes", TapeError);
        CHECK_THROWS_WITH_AS(checkpoint([&](const Vars&) { return stray; }, {x}),
                             "checkpoint: the function's result is on another tape", TapeError);
        CHECK_THROWS_AS(checkpoint([](const Vars& in) { return exp(in[0]) + matmul(in[0], in[0]); }, {x}), ShapeError);
        CHECK(tape.size() == size);
    }
}

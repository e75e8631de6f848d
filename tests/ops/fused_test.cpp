#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>

#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

using namespace cotape;

namespace {

/// A graph of random ops over shapes that broadcast in many ways; the same seed records the same graph.
class RandomGraph {
  public:
    RandomGraph(Tape& tape, std::uint32_t seed, bool with_sums, Dtype dtype)
        : tape_(tape), random_(seed), with_sums_(with_sums), dtype_(dtype) {
        std::int64_t rows = 1 + draw(5), channels = 1 + draw(4), inner = draw(4) == 0 ? 1100 : 1 + draw(6);
        for (Shape shape : {Shape{rows, channels, inner}, Shape{1, channels, 1}, Shape{inner}, Shape{},
                            Shape{rows, 1, inner}, Shape{rows, channels, inner}, Shape{channels, 1}})
            pool_.push_back(leaf(shape));
        inputs_ = pool_;
        int count = 3 + static_cast<int>(draw(25));
        for (int i = 0; i < count; ++i) pool_.push_back(next());
    }

    /// A few of the values, and the gradients of one with respect to the leaves.
    std::vector<Var> outputs() {
        std::vector<Var> chosen{pool_.back()};
        for (int i = 0; i < 3; ++i) chosen.push_back(pick());
        if (with_sums_) {
            Var loss = sum(pool_.back() * pick());
            for (Var g : gradients(loss, inputs_)) chosen.push_back(g);
        }
        return chosen;
    }

  private:
    std::int64_t draw(std::uint32_t below) { return static_cast<std::int64_t>(random_() % below); }
    Var pick() { return pool_[static_cast<std::size_t>(draw(static_cast<std::uint32_t>(pool_.size())))]; }

    Var leaf(const Shape& shape) {
        Tensor values = Tensor::make<double>(shape, [&](std::span<double> elements) {
            for (double& element : elements) element = static_cast<double>(random_() % 2001) / 1000 - 1;
        });
        return tape_.variable(values.as(dtype_));
    }

    Var next() {
        Var a = pick(), b = pick();
        switch (draw(with_sums_ ? 15 : 9)) {
        case 0: return a + b;
        case 1: return a - b;
        case 2: return a * b;
        case 3: return tanh(a);
        case 4: return where(greater(a, b), a, 0.5 * b);
        case 5: return sigmoid(a * 0.7 + 0.1);
        case 6: return maximum(a, b);
        case 7: return reshape(a, {-1});
        case 8: return reshape(a, a.shape().size() == 1 ? Shape{1, a.shape()[0]} : a.shape());
        case 9: return sum(a, {}, {});
        case 10: return a.shape().empty() ? a : mean(a, {-1}, {.keep_dims = true});
        case 11: return a.shape().empty() ? a : sum(a, {0}, {.keep_dims = true});
        case 12: return a.shape().size() < 2 ? a : (a - batch_mean(a)) * rsqrt(batch_variance(a) + 0.1);
        case 13: return variance(a);
        default: return mean(a) + b;
        }
    }

    Tape& tape_;
    std::mt19937 random_;
    bool with_sums_;
    Dtype dtype_;
    std::vector<Var> pool_, inputs_;
};

std::vector<Tensor> values_of(Evaluator evaluator, std::uint32_t seed, bool with_sums, Dtype dtype, Keep keep) {
    std::vector<Tensor> values;
    Tape tape({.evaluator = evaluator});
    try {
        RandomGraph graph(tape, seed, with_sums, dtype);
        std::vector<Var> outputs = graph.outputs();
        evaluate(outputs, keep);
        for (Var output : outputs) values.push_back(output.value());
    } catch (const ShapeError&) { // the shapes drawn do not broadcast: no graph
    }
    return values;
}

double largest_difference(const Tensor& a, const Tensor& b) {
    double largest = 0;
    for (std::int64_t i = 0; i < a.size(); ++i)
        if (a.at(i) != b.at(i)) largest = std::fmax(largest, std::abs(a.at(i) - b.at(i)) / (1 + std::abs(a.at(i))));
    return largest;
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("random graphs of elementwise ops have the same bits fused and plain") {
        int graphs = 0;
        for (std::uint32_t seed = 0; seed < 5000; ++seed)
            for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                Keep keep = seed % 2 ? Keep::all : Keep::requested;
                std::vector<Tensor> plain = values_of(Evaluator::plain, seed, false, dtype, keep);
                std::vector<Tensor> fused = values_of(Evaluator::fused, seed, false, dtype, keep);
                REQUIRE(plain.size() == fused.size());
                graphs += plain.empty() ? 0 : 1;
                for (std::size_t i = 0; i < plain.size(); ++i) {
                    CAPTURE(seed);
                    REQUIRE(plain[i].type() == fused[i].type());
                    REQUIRE(std::memcmp(plain[i].bytes_begin(), fused[i].bytes_begin(), plain[i].bytes()) == 0);
                }
            }
        CHECK(graphs > 2000);
    }

    TEST_CASE("random graphs with sums and gradients agree fused and plain, up to the order of the sums") {
        int graphs = 0;
        for (std::uint32_t seed = 0; seed < 5000; ++seed) {
            Keep keep = seed % 2 ? Keep::all : Keep::requested;
            std::vector<Tensor> plain = values_of(Evaluator::plain, seed, true, Dtype::float64, keep);
            std::vector<Tensor> fused = values_of(Evaluator::fused, seed, true, Dtype::float64, keep);
            REQUIRE(plain.size() == fused.size());
            graphs += plain.empty() ? 0 : 1;
            for (std::size_t i = 0; i < plain.size(); ++i) {
                CAPTURE(seed);
                REQUIRE(plain[i].type() == fused[i].type());
                // Some 7,000 terms of size one: their sum may differ by about 7000 * 1e-16, and a division by a small
                // standard deviation, or a few squarings, enlarge that.
                REQUIRE(largest_difference(plain[i], fused[i]) < 1e-9);
            }
        }
        CHECK(graphs > 1000);
    }
}

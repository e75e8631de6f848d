#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/softmax.hpp>

#include "../core/planned.hpp"
#include "../nn/numbers.hpp"
#include "op_table.hpp"

using namespace cotape;
using cotape::testing::same_bits;

namespace {

/// Whether no sum that an evaluator may add in another order went into a value: it has then the same bits whoever
/// computes it.
bool is_exact(Var value) {
    std::vector<bool> exact;
    for (NodeId id = 0; id <= value.id(); ++id) {
        const Node& node = value.tape().node(id);
        bool sums = node.op->kind == OpKind::reduction && node.op->name != "max" && node.op->name != "min";
        exact.push_back(!sums && std::ranges::all_of(node.inputs, [&](NodeId input) {
            return exact[static_cast<std::size_t>(input)];
        }));
    }
    return exact.back();
}

struct GraphOptions {
    Dtype dtype = Dtype::float64;
    /// The extents that leaves have, or 1.
    Shape extents = {};
    bool with_products = true;
};

/// Nothing grows beyond twice this, or twice the extents.
constexpr std::int64_t most_elements = 50000;

/// A graph of random ops: every op drawn fits its operands, and values stay about 1 in size. The same seed records the
/// same graph.
class RandomGraph {
  public:
    RandomGraph(Tape& tape, std::uint32_t seed, const GraphOptions& options)
        : tape_(tape), random_(seed), options_(options) {
        std::int64_t rows = options.extents[0], channels = options.extents[1], inner = options.extents[2];
        for (Shape shape : {Shape{rows, channels, inner}, Shape{1, channels, 1}, Shape{inner}, Shape{},
                            Shape{rows, 1, inner}, Shape{rows, channels, inner}, Shape{channels, 1}})
            inputs_.push_back(leaf(shape));
        for (std::int64_t count = 3 + draw(25); count > 0; --count) pool_.push_back(next());
    }

    /// A few of the values, the gradients of a sum with respect to all leaves, and for some graphs those of the
    /// gradients.
    std::vector<Var> outputs() {
        std::vector<Var> chosen{pool_.back(), pick(), pick(), pick()};
        std::vector<Var> slopes = gradients(mean(pool_.back() * partner(pool_.back())), inputs_);
        chosen.insert(chosen.end(), slopes.begin(), slopes.end());
        if (draw(8) == 0)
            for (Var second : gradients(sum(square(slopes[1])), inputs_)) chosen.push_back(second);
        return chosen;
    }

  private:
    std::int64_t draw(std::int64_t below) { return static_cast<std::int64_t>(random_()) % below; }
    Var one_of(const std::vector<Var>& values) {
        return values[static_cast<std::size_t>(draw(static_cast<std::int64_t>(values.size())))];
    }
    Var pick() { return one_of(pool_); }

    /// One of the values that broadcast with `a`, which itself is one.
    Var partner(Var a) {
        auto fits = [&](Var b) {
            auto *n = a.shape().end(), *m = b.shape().end();
            std::int64_t count = 1;
            while (n != a.shape().begin() || m != b.shape().begin()) {
                std::int64_t extent = n == a.shape().begin() ? 1 : *--n, other = m == b.shape().begin() ? 1 : *--m;
                if (extent != other && extent != 1 && other != 1) return false;
                count *= std::max(extent, other);
            }
            return count <= std::max(most_elements, element_count(a.shape()));
        };
        std::vector<Var> fitting;
        std::ranges::copy_if(pool_, std::back_inserter(fitting), fits);
        return one_of(fitting);
    }

    Var leaf(const Shape& shape) {
        Tensor values = Tensor::make<double>(shape, [&](std::span<double> elements) {
            for (double& element : elements) element = static_cast<double>(random_() % 2001) / 1000 - 1;
        });
        return pool_.emplace_back(tape_.variable(values.as(options_.dtype)));
    }

    Var next() {
        Var a = pick(), b = partner(a);
        switch (draw(16)) {
        case 0: return 0.5 * (a + b);
        case 1: return 0.5 * (a - b);
        case 2: return tanh(a * b);
        case 3: return a / (1 + square(b));
        case 4: return sigmoid(a * 0.7 + 0.1) - 0.2 * gelu(b);
        case 5: return log1p(exp(-square(a))) * sqrt(0.1 + square(b));
        case 6: return choice(a, b);
        case 7: return 0.1 * sum_to(tanh(a + b), a.shape());
        default: return a.shape().empty() ? tanh(a) : along_an_axis(a);
        }
    }

    /// Only among what has the same bits for both evaluators: between other operands they may choose differently.
    Var choice(Var a, Var b) {
        if (!is_exact(a) || !is_exact(b)) return a - 0.5 * b;
        switch (draw(3)) {
        case 0: return maximum(a, b);
        case 1: return where(greater(a, b), a, 0.5 * b);
        default: return clamp(a, -0.7, 0.3) + relu(b);
        }
    }

    Var along_an_axis(Var x) {
        const Shape shape = x.shape();
        std::int64_t rank = static_cast<std::int64_t>(shape.size()), axis = draw(rank);
        std::int64_t extent = shape[static_cast<std::size_t>(axis)];
        ReduceOptions options{.keep_dims = draw(3) > 0};
        switch (draw(16)) {
        case 0: return softmax(x, axis);
        case 1: return 0.3 * log_softmax(x, axis);
        case 2: return mean(x, {axis}, options);
        case 3: return tanh(sum(x, {axis}, options));
        case 4: return draw(2) ? variance(x, {axis}, options) : variance(x);
        case 5: return 0.2 * logsumexp(x, {axis}, options);
        case 6: return is_exact(x) ? max(x, {axis}, options) : mean(x);
        case 7: return is_exact(x) ? x - min(x, {axis}, {.keep_dims = true}) : sigmoid(x);
        case 8: return rank < 2 ? square(x) : tanh((x - batch_mean(x)) * rsqrt(batch_variance(x) + 0.1));
        case 9: {
            std::int64_t begin = draw(extent), end = begin + 1 + draw(extent - begin);
            return slice(x, axis, begin, end, 1 + draw(3));
        }
        case 10:
            if (element_count(shape) > most_elements) return tanh(x);
            return concatenate({x, -0.5 * slice(x, axis, 0, 1 + draw(extent))}, axis);
        case 11: {
            Shape before(shape.size()), after(shape.size());
            before[static_cast<std::size_t>(axis)] = draw(3);
            after[static_cast<std::size_t>(axis)] = draw(2);
            return pad(x, before, after, 0.25);
        }
        case 12: return rank < 2 ? reshape(x, {-1, 1}) : transpose(x);
        case 13: return draw(2) ? reshape(x, {-1}) : reshape(x, {1, extent, -1});
        case 14: return product(x);
        default: {
            Shape stretched{1 + draw(3)};
            stretched.append(shape.begin(), shape.end());
            return element_count(stretched) > most_elements ? x : broadcast_to(x, stretched);
        }
        }
    }

    Var product(Var x) {
        std::int64_t last = x.shape().back();
        if (x.shape().size() < 2 || last > 200 || !options_.with_products) return 0.5 * x + mean(x);
        return tanh(matmul(x, leaf({last, 1 + draw(4)})));
    }

    Tape& tape_;
    std::mt19937 random_;
    GraphOptions options_;
    std::vector<Var> pool_, inputs_;
};

std::vector<Var> recorded(Tape& tape, std::uint32_t seed, const GraphOptions& options) {
    return RandomGraph(tape, seed, options).outputs();
}

/// The largest difference, relative to the largest value where that is above 1.
double difference(const Tensor& a, const Tensor& b) {
    double largest = 0, size = 1;
    for (std::int64_t i = 0; i < a.size(); ++i) {
        if (std::isfinite(a.at(i)) != std::isfinite(b.at(i))) return INFINITY;
        if (!std::isfinite(a.at(i))) continue;
        largest = std::fmax(largest, std::fabs(a.at(i) - b.at(i)));
        size = std::fmax(size, std::fabs(a.at(i)));
    }
    return largest / size;
}

/// Evaluates the same variables, recorded by `record`, plainly and fused, and compares them: to the bit where no sum
/// went in, within rounding elsewhere. Sums are added in double by both, in another order; a float32 result differs
/// only where that is next to a tie of rounding. Each op enlarges what comes in by a small factor.
template <class Record>
void compare_evaluators(Record record, Keep keep) {
    Tape plain_tape({.evaluator = Evaluator::plain}), fused_tape({.evaluator = Evaluator::fused});
    std::vector<Var> plain = record(plain_tape), fused = record(fused_tape);
    evaluate(plain, keep);
    evaluate(fused, keep);
    REQUIRE(plain.size() == fused.size());
    for (std::size_t i = 0; i < plain.size(); ++i) {
        CAPTURE(i);
        Tensor a = plain[i].value(), b = fused[i].value();
        REQUIRE(a.type() == b.type());
        if (is_exact(plain[i]))
            REQUIRE(same_bits(a, b));
        else
            REQUIRE(difference(a, b) <= (a.dtype() == Dtype::float32 ? 1e-6 : 1e-13));
    }
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("ten thousand random graphs give fused the bits they give plain, but for the order of sums") {
        for (std::uint32_t seed = 0; seed < 5000; ++seed)
            for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                CAPTURE(seed);
                std::mt19937 random(seed);
                GraphOptions options{.dtype = dtype};
                for (std::uint32_t most : {5, 4, 6}) options.extents.push_back(1 + random() % most);
                if (seed % 10 == 0) options.extents.back() = 1100; // more than a tile
                compare_evaluators([&](Tape& tape) { return recorded(tape, seed, options); },
                                   seed % 2 ? Keep::all : Keep::requested);
            }
    }

    TEST_CASE("a fifth of such graphs have groups that run as a series") {
        int graphs = 0;
        for (std::uint32_t seed = 0; seed < 100; ++seed) {
            Tape tape;
            std::vector<Var> outputs = recorded(tape, seed, {Dtype::float32, {20 + seed % 30, 3, 1100}, false});
            graphs += !planned(outputs).series.empty();
        }
        CHECK(graphs >= 20);
    }

    TEST_CASE("every op and its gradients have the same bits fused and plain, but for the order of sums") {
        for (const OpRow& row : op_table())
            for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                CAPTURE(to_string(row));
                auto values_and_slopes = [&](Tape& tape) {
                    Vars vars, floating;
                    for (const Tensor& input : draw_inputs(row)) {
                        vars.push_back(tape.variable(input.dtype() == Dtype::float64 ? input.as(dtype) : input));
                        if (input.dtype() == Dtype::float64) floating.push_back(vars.back());
                    }
                    Var y = row.function(vars);
                    if (y.dtype() == Dtype::int64 || floating.empty()) return Vars{y};
                    std::mt19937 random(3);
                    Tensor probe = Tensor::make<double>(y.shape(), [&](std::span<double> elements) {
                        for (double& element : elements) element = static_cast<double>(random() % 2001) / 1000 - 1;
                    });
                    Vars all = gradients(y, floating, tape.constant(probe.as(y.dtype())));
                    all.push_back(y);
                    return all;
                };
                compare_evaluators(values_and_slopes, Keep::requested);
            }
    }

    TEST_CASE("the same seed gives the same bits on one thread and on several") {
        for (std::uint32_t seed = 0; seed < 60; ++seed)
            for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused}) {
                CAPTURE(seed);
                std::vector<Tensor> values[2];
                for (int threads : {1, 3}) {
                    omp_set_num_threads(threads);
                    Tape tape({.evaluator = evaluator});
                    // The libraries' products may depend on it.
                    std::vector<Var> outputs =
                        recorded(tape, seed, {Dtype::float32, {20 + seed % 30, 3, 1100}, false});
                    evaluate(outputs, Keep::requested);
                    for (Var output : outputs) values[threads > 1].push_back(output.value());
                }
                omp_set_num_threads(omp_get_num_procs());
                for (std::size_t i = 0; i < values[0].size(); ++i) CHECK(same_bits(values[0][i], values[1][i]));
            }
    }
}

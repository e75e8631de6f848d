#include "subjects.hpp"

#include <cmath>
#include <random>

#include <cotape/core/draws.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/losses.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/softmax.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

constexpr double batch_norm_epsilon = 1e-5;

Tensor normal(const Shape& shape, std::mt19937_64& random) {
    return Tensor::make<double>(shape, [&](std::span<double> elements) {
        for (double& element : elements) element = draw_normal(random);
    });
}

Var normalized(Var x) { return (x - batch_mean(x)) * rsqrt(batch_variance(x) + batch_norm_epsilon); }

/// Batch norm in one piece, as other libraries have it: x, scale and shift, with the three rules of its paper.
const Op fused_batch_norm_op{
    .name = "fused_batch_norm",
    .type = [](const Call& call) { return call.type(0); },
    .kernel =
        [](const Call&, const Type&, std::span<const Tensor> inputs) {
            Tape tape;
            return (normalized(tape.constant(inputs[0])) * tape.constant(inputs[1]) + tape.constant(inputs[2])).value();
        },
    .derivative =
        [](const Rule& rule) {
            Var x = rule.x[0], g = rule.g;
            if (rule.input == 2) return sum(g, {0});
            if (rule.input == 1) return sum(g * normalized(x), {0});
            Var of_normalized = g * rule.x[1];
            Var through_mean = batch_mean(of_normalized);
            Var through_variance = normalized(x) * batch_mean(of_normalized * normalized(x));
            return (of_normalized - through_mean - through_variance) * rsqrt(batch_variance(x) + batch_norm_epsilon);
        },
};

Subject of_row(const OpRow& row, std::uint64_t seed) {
    std::vector<Tensor> inputs = draw_inputs(row, seed), moving;
    std::vector<bool> moves;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        moves.push_back(row.inputs[i].differentiable && inputs[i].size() > 0);
        if (moves.back()) moving.push_back(inputs[i]);
    }
    auto function = [inputs, moves, call = row.function](const Vars& vars) {
        Vars all;
        for (std::size_t i = 0, next = 0; i < inputs.size(); ++i)
            all.push_back(moves[i] ? vars[next++] : vars[0].tape().constant(inputs[i]));
        return call(all);
    };
    return {to_string(row), function, moving, row.order};
}

bool has_output(const Subject& subject) {
    if (subject.inputs.empty()) return false;
    Tape tape;
    Vars vars;
    for (const Tensor& input : subject.inputs) vars.push_back(tape.variable(input));
    return element_count(subject.function(vars).shape()) > 0;
}

} // namespace

std::vector<Subject> subjects(std::uint64_t seed) {
    std::vector<Subject> result;
    for (const OpRow& row : op_table())
        if (Subject subject = of_row(row, seed); has_output(subject)) result.push_back(std::move(subject));
    std::mt19937_64 random(seed);
    std::vector<Tensor> inputs{normal({6, 2}, random), normal({2}, random), normal({2}, random)};
    result.push_back({"batch norm, composed", [](const Vars& x) { return normalized(x[0]) * x[1] + x[2]; }, inputs, 3});
    result.push_back({"batch norm, in one piece",
                      [](const Vars& x) {
                          return record(fused_batch_norm_op, {x[0], x[1], x[2]});
                      },
                      inputs, 3});
    return result;
}

Subject deep_model() {
    std::mt19937_64 random(7);
    std::vector<Tensor> inputs{normal({8, 6}, random), normal({6, 10}, random), normal({10}, random),
                               normal({10, 10}, random), normal({10}, random), normal({10, 4}, random)};
    Tensor labels = Tensor::of<std::int64_t>({8}, {0, 1, 2, 3, 3, 2, 1, 0});
    auto function = [labels](const Vars& x) {
        Tape& tape = x[0].tape();
        Var first = tanh(normalized(matmul(x[0], x[1])) * x[2]);
        Var gate = sigmoid(slice(matmul(first, x[3]), 1, 0, 5)), other = softplus(slice(first, 1, 5, 10));
        Var joined = concatenate({gate * other, square(gate) / (1 + abs(other))}, 1);
        Var attention = softmax(matmul(joined, transpose(joined)) / std::sqrt(10.0), 1);
        Var second = matmul(attention, joined) + x[4];
        Var centred = second - mean(second, {1}, {.keep_dims = true});
        Var layer = centred * rsqrt(variance(second, {1}, {.keep_dims = true}) + 1e-3);
        Var third = layer + 0.1 * exp(-square(layer)) + log1p(square(first)) - gelu(first);
        Var rows = take(third, tape.constant(Tensor::of<std::int64_t>({8}, {7, 6, 5, 4, 3, 2, 1, 0})));
        Var logits = matmul(leaky_relu(rows, 0.1) + sqrt(1 + square(rows)), x[5]);
        Var loss = cross_entropy(logits, labels) + 0.01 * logsumexp(reshape(permute(logits, {1, 0}), {32}));
        return loss + 0.001 * sum(square(x[1])) + 0.01 * mean(pow(1 + square(x[3]), 0.5));
    };
    return {"a net of some seventy ops", function, inputs, 1};
}

#include <cotape/nn/folded_lstm.hpp>

#include <algorithm>

#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {
namespace {

std::optional<Parameter> parameter(std::optional<Tensor>& value) {
    if (!value) return std::nullopt;
    return Parameter(std::move(*value));
}

} // namespace

FoldedLSTMCell::FoldedLSTMCell(FoldedLSTMParts parts)
    : LSTMCell("FoldedLSTMCell", std::move(parts.weight_ih), std::move(parts.weight_hh)), bias_(std::move(parts.bias)),
      factor_ih_(parameter(parts.factor_ih)), factor_hh_(parameter(parts.factor_hh)),
      factor_c_(parameter(parts.factor_c)), bias_c_(parameter(parts.bias_c)) {}

Unrolled FoldedLSTMCell::unroll(Var x, const RecurrentState& initial, const Steps& steps) {
    Tape& tape = x.tape();
    /// Of all steps, [steps.count(), 1, features].
    auto rows = [&](const Parameter& table) {
        const Shape& shape = table.type().shape;
        Tensor indices = Tensor::make<std::int64_t>({steps.count()}, [&](std::span<std::int64_t> indices) {
            for (std::size_t i = 0; i < indices.size(); ++i)
                indices[i] = std::min(steps.first() + static_cast<std::int64_t>(i), shape[0] - 1);
        });
        return reshape(take(tape.variable(table), tape.constant(indices)), {steps.count(), 1, shape[1]});
    };
    auto all_rows = [&](const std::optional<Parameter>& table) { return table ? rows(*table) : Var(); };
    auto row = [](Var all, std::int64_t t) { return reshape(slice(all, 0, t, t + 1), {1, all.shape()[2]}); };

    Var projected = reshape(input_product(x), {steps.count(), steps.examples(), 4 * hidden()});
    if (factor_ih_) projected = projected * rows(*factor_ih_);
    projected = reshape(projected + rows(bias_), {steps.count() * steps.examples(), 4 * hidden()});
    Var factor_hh = all_rows(factor_hh_), factor_c = all_rows(factor_c_), bias_c = all_rows(bias_c_);
    std::int64_t step = 0;
    return each_step(projected, initial, steps, [&](Var from_input, const RecurrentState& state) {
        std::int64_t t = step++;
        Var from_state = hidden_product(state.h);
        if (factor_hh) from_state = from_state * row(factor_hh, t);
        Var gates = from_input + from_state, c = next_cell_state(gates, state.c);
        Var shown = factor_c ? c * row(factor_c, t) + row(bias_c, t) : c;
        return RecurrentState{output_gate(gates) * tanh(shown), c};
    });
}

void FoldedLSTMCell::visit(Visitor& visitor) {
    RecurrentCell::visit(visitor);
    visitor("factor_ih", factor_ih_);
    visitor("factor_hh", factor_hh_);
    visitor("bias", bias_);
    visitor("factor_c", factor_c_);
    visitor("bias_c", bias_c_);
}

} // namespace cotape::nn

#include <cotape/nn/batch_norm_lstm.hpp>

#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {
namespace {

std::optional<RecurrentBatchNorm> normalizer(bool wanted, std::int64_t features, std::int64_t steps,
                                             RecurrentBatchNormOptions options, bool shift) {
    if (!wanted) return std::nullopt;
    options.shift = shift;
    return RecurrentBatchNorm(features, steps, options);
}

/// Puts a factor of each row of `weight` into `table` or, where all steps share it, into the weight.
void fold_factor(const Tensor& factor, Tensor& weight, std::optional<Tensor>& table) {
    if (factor.shape()[0] > 1) {
        table = factor.as(Dtype::float32);
        return;
    }
    weight = Tensor::make<float>(weight.shape(), [&](std::span<float> scaled) {
        for (std::int64_t i = 0; i < weight.size(); ++i)
            scaled[static_cast<std::size_t>(i)] = static_cast<float>(weight.at(i) * factor.at(i / weight.shape()[1]));
    });
}

} // namespace

BatchNormLSTMCell::BatchNormLSTMCell(std::int64_t inputs, std::int64_t hidden, std::int64_t steps,
                                     const BatchNormLSTMOptions& options, std::mt19937& random)
    : LSTMCell("BatchNormLSTMCell", inputs, hidden, false, random), bias_(Tensor::full({4 * hidden}, 0)),
      norm_ih_(*normalizer(true, 4 * hidden, steps, options.norm, false)),
      norm_hh_(normalizer(options.parts == NormalizedParts::all, 4 * hidden, steps, options.norm, false)),
      norm_c_(normalizer(options.parts == NormalizedParts::all, hidden, steps, options.norm, options.norm.shift)) {}

Unrolled BatchNormLSTMCell::unroll(Var x, const RecurrentState& initial, const Steps& steps) {
    Tape& tape = x.tape();
    Var product = input_product(x);
    Var by_step = reshape(product, {steps.count(), steps.examples(), 4 * hidden()});
    // Stretched along the steps first: one sum over the examples, for each step, serves the bias and the mean.
    Var bias = broadcast_to(tape.variable(bias_), {steps.count(), 1, 4 * hidden()});
    Var projected = reshape(norm_ih_.normalize(by_step, steps) + bias, product.shape());
    if (!norm_hh_)
        return each_step(projected, initial, steps, [&](Var from_input, const RecurrentState& state) {
            Var gates = from_input + hidden_product(state.h), c = next_cell_state(gates, state.c);
            return RecurrentState{output_gate(gates) * tanh(c), c};
        });
    RecurrentBatchNorm::Sequence normalize_hidden(*norm_hh_, tape, steps), normalize_cell(*norm_c_, tape, steps);
    Unrolled unrolled = each_step(projected, initial, steps, [&](Var from_input, const RecurrentState& state) {
        Var gates = from_input + normalize_hidden(hidden_product(state.h)), c = next_cell_state(gates, state.c);
        return RecurrentState{output_gate(gates) * tanh(normalize_cell(c)), c};
    });
    normalize_hidden.finish();
    normalize_cell.finish();
    return unrolled;
}

FoldedLSTMCell BatchNormLSTMCell::folded() const {
    FoldedLSTMParts parts{weight_ih().value(), weight_hh().value(), {}};
    RecurrentBatchNorm::Folded input = norm_ih_.folded(), state;
    fold_factor(input.factor, parts.weight_ih, parts.factor_ih);
    if (norm_hh_) {
        state = norm_hh_->folded();
        fold_factor(state.factor, parts.weight_hh, parts.factor_hh);
        RecurrentBatchNorm::Folded cell = norm_c_->folded();
        parts.factor_c = cell.factor.as(Dtype::float32);
        parts.bias_c = cell.shift.as(Dtype::float32);
    }
    parts.bias = Tensor::make<float>(input.shift.shape(), [&](std::span<float> bias) {
        for (std::int64_t i = 0; i < input.shift.size(); ++i)
            bias[static_cast<std::size_t>(i)] = static_cast<float>(
                input.shift.at(i) + (norm_hh_ ? state.shift.at(i) : 0) + bias_.value().at(i % (4 * hidden())));
    });
    return FoldedLSTMCell(std::move(parts));
}

void BatchNormLSTMCell::visit(Visitor& visitor) {
    RecurrentCell::visit(visitor);
    visitor("bias", bias_);
    visitor("norm_ih", norm_ih_);
    if (!norm_hh_) return;
    visitor("norm_hh", *norm_hh_);
    visitor("norm_c", *norm_c_);
}

BatchNormLSTM::BatchNormLSTM(std::int64_t inputs, std::int64_t hidden, std::int64_t steps,
                             const BatchNormLSTMOptions& options, std::mt19937& random)
    : Recurrent("BatchNormLSTM", common(options), random) {
    add_cells(inputs, options.layers, [&](std::int64_t layer_inputs) {
        return std::make_unique<BatchNormLSTMCell>(layer_inputs, hidden, steps, options, random);
    });
}

} // namespace cotape::nn

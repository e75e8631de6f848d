#include <cotape/nn/batch_norm_lstm.hpp>

#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>

namespace cotape::nn {
namespace {

std::optional<RecurrentBatchNorm> normalizer(bool wanted, std::int64_t features, std::int64_t steps,
                                             RecurrentBatchNormOptions options, bool shift) {
    if (!wanted) return std::nullopt;
    options.shift = shift;
    return RecurrentBatchNorm(features, steps, options);
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
    Var projected = norm_ih_.normalize(input_product(x), steps) + tape.variable(bias_);
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
    : Recurrent("BatchNormLSTM", options.layers, options.last_step) {
    add_cells(inputs, options.layers, [&](std::int64_t layer_inputs) {
        return std::make_unique<BatchNormLSTMCell>(layer_inputs, hidden, steps, options, random);
    });
}

} // namespace cotape::nn

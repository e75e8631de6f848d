#include <cotape/nn/lstm.hpp>

#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>

namespace cotape::nn {

Unrolled LSTMCell::unroll(Var x, const RecurrentState& initial, const Steps& steps) {
    Var projected = input_product(x);
    if (has_bias()) projected = projected + (bias_ih(x.tape()) + bias_hh(x.tape()));
    return each_step(projected, initial, steps, [&](Var from_input, const RecurrentState& state) {
        Var gates = from_input + hidden_product(state.h), c = next_cell_state(gates, state.c);
        return RecurrentState{output_gate(gates) * tanh(c), c};
    });
}

Var LSTMCell::next_cell_state(Var gates, Var c) const {
    return sigmoid(gate(gates, 1)) * c + sigmoid(gate(gates, 0)) * tanh(gate(gates, 2));
}

Var LSTMCell::output_gate(Var gates) const { return sigmoid(gate(gates, 3)); }

LSTM::LSTM(std::int64_t inputs, std::int64_t hidden, const RecurrentOptions& options, std::mt19937& random)
    : Recurrent("LSTM", options, random) {
    add_cells(inputs, options.layers, [&](std::int64_t layer_inputs) {
        return std::make_unique<LSTMCell>(layer_inputs, hidden, options.bias, random);
    });
}

} // namespace cotape::nn

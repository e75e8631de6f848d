#include <cotape/nn/gru.hpp>

#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>

namespace cotape::nn {

Unrolled GRUCell::unroll(Var x, const RecurrentState& initial, const Steps& steps) {
    Var projected = input_product(x);
    if (has_bias()) projected = projected + bias_ih(x.tape());
    return each_step(projected, initial, steps, [&](Var from_input, const RecurrentState& state) {
        Var from_state = hidden_product(state.h);
        if (has_bias()) from_state = from_state + bias_hh(x.tape());
        Var r = sigmoid(gate(from_input, 0) + gate(from_state, 0));
        Var z = sigmoid(gate(from_input, 1) + gate(from_state, 1));
        Var n = tanh(gate(from_input, 2) + r * gate(from_state, 2));
        return RecurrentState{n + z * (state.h - n)};
    });
}

GRU::GRU(std::int64_t inputs, std::int64_t hidden, const RecurrentOptions& options, std::mt19937& random)
    : Recurrent("GRU", options, random) {
    add_cells(inputs, options.layers, [&](std::int64_t layer_inputs) {
        return std::make_unique<GRUCell>(layer_inputs, hidden, options.bias, random);
    });
}

} // namespace cotape::nn

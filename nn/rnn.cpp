#include <cotape/nn/rnn.hpp>

#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>

namespace cotape::nn {

Unrolled RNNCell::unroll(Var x, const RecurrentState& initial, const Steps& steps) {
    Var projected = input_product(x);
    if (has_bias()) projected = projected + (bias_ih(x.tape()) + bias_hh(x.tape()));
    return each_step(projected, initial, steps, [&](Var from_input, const RecurrentState& state) {
        Var sum = from_input + hidden_product(state.h);
        return RecurrentState{nonlinearity_ == Nonlinearity::tanh ? tanh(sum) : relu(sum)};
    });
}

RNN::RNN(std::int64_t inputs, std::int64_t hidden, const RNNOptions& options, std::mt19937& random)
    : Recurrent("RNN", common(options), random) {
    add_cells(inputs, options.layers, [&](std::int64_t layer_inputs) {
        return std::make_unique<RNNCell>(layer_inputs, hidden, options.nonlinearity, options.bias, random);
    });
}

} // namespace cotape::nn

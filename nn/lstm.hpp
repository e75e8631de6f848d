#pragma once

#include <cotape/nn/recurrent.hpp>

namespace cotape::nn {

/// Long short-term memory (Hochreiter and Schmidhuber 1997; forget gates by Gers et al. 2000), with PyTorch's
/// equations:
///
///     i, f, g, o = parts of W_ih x + b_ih + W_hh h + b_hh, in this order
///     c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
///     h' = sigmoid(o) * tanh(c')
class LSTMCell : public RecurrentCell {
  public:
    LSTMCell(std::int64_t inputs, std::int64_t hidden, bool bias, std::mt19937& random)
        : RecurrentCell("LSTMCell", inputs, hidden, 4, bias, random) {}
    LSTMCell(std::int64_t inputs, std::int64_t hidden, std::mt19937& random) : LSTMCell(inputs, hidden, true, random) {}

    bool has_cell_state() const override { return true; }

  protected:
    LSTMCell(std::string name, std::int64_t inputs, std::int64_t hidden, bool bias, std::mt19937& random)
        : RecurrentCell(std::move(name), inputs, hidden, 4, bias, random) {}
    LSTMCell(std::string name, Tensor weight_ih, Tensor weight_hh)
        : RecurrentCell(std::move(name), std::move(weight_ih), std::move(weight_hh)) {}

    Unrolled unroll(Var x, const RecurrentState& initial, const Steps& steps) override;
    /// c', from the four gates before their activations.
    Var next_cell_state(Var gates, Var c) const;
    /// How much of the cell state shows: sigmoid(o).
    Var output_gate(Var gates) const;
};

/// LSTMCells on top of each other, over x [steps, examples, inputs]: see Recurrent.
class LSTM : public Recurrent {
  public:
    LSTM(std::int64_t inputs, std::int64_t hidden, const RecurrentOptions& options, std::mt19937& random);
    LSTM(std::int64_t inputs, std::int64_t hidden, std::mt19937& random) : LSTM(inputs, hidden, {}, random) {}
};

} // namespace cotape::nn

#pragma once

#include <cotape/nn/recurrent.hpp>

namespace cotape::nn {

/// What an RNN applies to the sum of its products.
enum class Nonlinearity { tanh, relu };

/// h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu (Elman 1990).
class RNNCell : public RecurrentCell {
  public:
    RNNCell(std::int64_t inputs, std::int64_t hidden, Nonlinearity nonlinearity, bool bias, std::mt19937& random)
        : RecurrentCell("RNNCell", inputs, hidden, 1, bias, random), nonlinearity_(nonlinearity) {}
    RNNCell(std::int64_t inputs, std::int64_t hidden, std::mt19937& random)
        : RNNCell(inputs, hidden, Nonlinearity::tanh, true, random) {}

  protected:
    Unrolled unroll(Var x, const RecurrentState& initial, const Steps& steps) override;

  private:
    Nonlinearity nonlinearity_;
};

/// What an RNN can be told: its nonlinearity, and all that is in RecurrentOptions.
struct RNNOptions {
    Nonlinearity nonlinearity = Nonlinearity::tanh;
    std::int64_t layers = 1;
    bool bias = true;
    /// See RecurrentOptions.
    bool last_step = false;
    double dropout = 0;
    bool bidirectional = false;
};

/// RNNCells on top of each other, over x [steps, examples, inputs]: see Recurrent.
class RNN : public Recurrent {
  public:
    RNN(std::int64_t inputs, std::int64_t hidden, const RNNOptions& options, std::mt19937& random);
    RNN(std::int64_t inputs, std::int64_t hidden, std::mt19937& random) : RNN(inputs, hidden, {}, random) {}
};

} // namespace cotape::nn

#pragma once

#include <cotape/nn/recurrent.hpp>

namespace cotape::nn {

/// The gated recurrent unit (Cho et al. 2014), with PyTorch's equations: the reset gate acts after the product with h.
///
///     r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
///     z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
///     n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
///     h' = (1 - z) * n + z * h
///
/// with W_ih and W_hh holding their parts in the order r, z, n.
class GRUCell : public RecurrentCell {
  public:
    GRUCell(std::int64_t inputs, std::int64_t hidden, bool bias, std::mt19937& random)
        : RecurrentCell("GRUCell", inputs, hidden, 3, bias, random) {}
    GRUCell(std::int64_t inputs, std::int64_t hidden, std::mt19937& random) : GRUCell(inputs, hidden, true, random) {}

  protected:
    Unrolled unroll(Var x, const RecurrentState& initial, const Steps& steps) override;
};

/// GRUCells on top of each other, over x [steps, examples, inputs]: see Recurrent.
class GRU : public Recurrent {
  public:
    GRU(std::int64_t inputs, std::int64_t hidden, const RecurrentOptions& options, std::mt19937& random);
    GRU(std::int64_t inputs, std::int64_t hidden, std::mt19937& random) : GRU(inputs, hidden, {}, random) {}
};

} // namespace cotape::nn

#pragma once

#include <optional>

#include <cotape/nn/lstm.hpp>

namespace cotape::nn {

/// The numbers of a FoldedLSTMCell, float32. The tables have a row for each step; the last one holds for all steps
/// after it as well.
struct FoldedLSTMParts {
    /// [4 * hidden, inputs] and [4 * hidden, hidden].
    Tensor weight_ih, weight_hh;
    /// [steps, 4 * hidden].
    Tensor bias;
    /// Of the two products, [steps, 4 * hidden]; none where it is 1.
    std::optional<Tensor> factor_ih = {}, factor_hh = {};
    /// Of the cell state where it shows, [steps, hidden]; none where they are 1 and 0.
    std::optional<Tensor> factor_c = {}, bias_c = {};
};

/// What a BatchNormLSTMCell computes in evaluation mode, with its normalisers folded into a factor and a bias for each
/// step t:
///
///     i, f, g, o = parts of factor_ih[t] * (W_ih x) + factor_hh[t] * (W_hh h) + bias[t]
///     c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
///     h' = sigmoid(o) * tanh(factor_c[t] * c' + bias_c[t])
///
/// See fold_batch_norm.
class FoldedLSTMCell : public LSTMCell {
  public:
    explicit FoldedLSTMCell(FoldedLSTMParts parts);

    bool has_bias() const override { return true; }
    std::string remarks() const override { return ", batch norm folded"; }
    void visit(Visitor& visitor) override;

  protected:
    Unrolled unroll(Var x, const RecurrentState& initial, const Steps& steps) override;

  private:
    Parameter bias_;
    std::optional<Parameter> factor_ih_, factor_hh_, factor_c_, bias_c_;
};

} // namespace cotape::nn

#pragma once

#include <cotape/nn/folded_lstm.hpp>
#include <cotape/nn/lstm.hpp>
#include <cotape/nn/recurrent_batch_norm.hpp>

namespace cotape::nn {

/// What an LSTM normalises.
enum class NormalizedParts {
    all,   ///< both products and the cell state (Cooijmans et al. 2016)
    input, ///< the product with the input alone (Laurent et al. 2015)
};

/// What a BatchNormLSTM normalises, and how; one cell with all of it normalised unless told otherwise.
struct BatchNormLSTMOptions {
    NormalizedParts parts = NormalizedParts::all;
    /// Of every normaliser in the net; those of the products have no shift, since the gates have a bias.
    RecurrentBatchNormOptions norm = {};
    /// How many cells stand on top of each other; at least 1.
    std::int64_t layers = 1;
    /// See RecurrentOptions. What reads from the end counts its steps from there, for its statistics too.
    bool last_step = false;
    double dropout = 0;
    bool bidirectional = false;
};

/// An LSTM whose gates and cell state are batch-normalised, each step by itself:
///
///     i, f, g, o = parts of BN(W_ih x) + BN(W_hh h) + b
///     c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
///     h' = sigmoid(o) * tanh(BN(c'))
///
/// The update of the cell state is not normalised, so that what it holds lasts. The layout is LSTMCell's, with one
/// `bias`, zero at first.
class BatchNormLSTMCell : public LSTMCell {
  public:
    /// `steps` is the most for which statistics are told apart.
    BatchNormLSTMCell(std::int64_t inputs, std::int64_t hidden, std::int64_t steps, const BatchNormLSTMOptions& options,
                      std::mt19937& random);

    bool has_bias() const override { return true; }
    /// What the cell computes in evaluation mode, without normalisers. A factor that all steps share goes into the
    /// weights; what there is for each step is rounded once, to float32.
    FoldedLSTMCell folded() const;
    void visit(Visitor& visitor) override;

  protected:
    Unrolled unroll(Var x, const RecurrentState& initial, const Steps& steps) override;

  private:
    Parameter bias_;
    RecurrentBatchNorm norm_ih_;
    std::optional<RecurrentBatchNorm> norm_hh_, norm_c_;
};

/// BatchNormLSTMCells on top of each other, over x [steps, examples, inputs]: see Recurrent.
class BatchNormLSTM : public Recurrent {
  public:
    /// `steps` is the most for which statistics are told apart: the length of the longest training sequence.
    BatchNormLSTM(std::int64_t inputs, std::int64_t hidden, std::int64_t steps, const BatchNormLSTMOptions& options,
                  std::mt19937& random);
    BatchNormLSTM(std::int64_t inputs, std::int64_t hidden, std::int64_t steps, std::mt19937& random)
        : BatchNormLSTM(inputs, hidden, steps, {}, random) {}
};

} // namespace cotape::nn

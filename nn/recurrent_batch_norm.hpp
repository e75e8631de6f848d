#pragma once

#include <optional>
#include <string>
#include <vector>

#include <cotape/nn/normalizer.hpp>
#include <cotape/nn/recurrent_cell.hpp>

namespace cotape::nn {

/// How a RecurrentBatchNorm normalises; but for the scale and what is said of time steps, as BatchNormOptions.
struct RecurrentBatchNormOptions {
    /// Added to the variance before the square root; positive in training.
    double epsilon = 1e-5;
    /// The weight of the new value in the running statistics; empty for the plain average over all batches seen.
    std::optional<double> momentum = 0.1;
    /// What the scale starts from. 0.1 keeps tanh and sigmoid where their slope is near 1, so that gradients live
    /// through many steps; 1 does not (Cooijmans et al. 2016).
    double initial_scale = 0.1;
    /// Whether the normalised values are shifted by a learnt parameter.
    bool shift = true;
    /// Whether all steps share one mean and variance, to which each step counts as a batch of its own. In training
    /// every step is normalised with its own either way; in evaluation the average over steps suits none of them.
    bool shared = false;
    /// Features whose variance is at most this are centred, not scaled. Pixels that are the same in every image, or the
    /// first state, all zeros, would otherwise be multiplied by 1 / sqrt(epsilon) as soon as they move, and so would
    /// their gradients.
    double least_variance = 1e-8;
};

/// Batch normalisation at each step of a sequence by itself (Cooijmans et al. 2016), over the examples of x [steps, N,
/// features]:
///
///     y[t] = scale * (x[t] - mean[t]) / sqrt(variance[t] + epsilon) + shift
///
/// The running statistics are [steps, features], `steps` being the most that they tell apart; scale and shift,
/// [features], are shared by all steps. Steps that training did not reach, beyond `steps` for example, are normalised
/// in evaluation with the statistics of the last one before them that it did reach, or of the first one after; in
/// training every step is normalised with its own, and those beyond `steps` are not tracked. Of padded sequences only
/// the steps that they have count. A step that a single sequence has becomes the shift, and is not tracked. For
/// proposals and commits see Normalizer. Throws ShapeError for another rank or number of features, and in training
/// where no step has two examples; ValueError in training for a mask of zeros alone.
class RecurrentBatchNorm : public Normalizer {
  public:
    /// Throws ValueError for less than one feature or step, and for options out of range.
    RecurrentBatchNorm(std::int64_t features, std::int64_t steps, const RecurrentBatchNormOptions& options = {});

    std::int64_t features() const { return running_mean().shape().back(); }
    const RecurrentBatchNormOptions& options() const { return options_; }

    /// What it does in evaluation mode, y[t] = factor[t] * x[t] + shift[t], with what training did not reach filled in:
    /// float64, [steps, features], or [1, features] where all steps share their statistics.
    struct Folded {
        Tensor factor, shift;
    };
    Folded folded() const;

    /// All steps at once, where none depends on another: [steps.count(), steps.examples(), features].
    Var normalize(Var x, const Steps& steps);

    class Sequence;

    void visit(Visitor& visitor) override;
    std::string describe() const override;

  protected:
    Var forward(Var x) override;

  private:
    struct Moments {
        Var mean, variance;
    };

    void require(const Shape& rows, const Steps& steps) const;
    /// Of each feature of x, [..., examples, features], over those examples that `present` marks.
    static Moments moments_of(Var x, Var present);
    /// The row of the running statistics that stands for `step`.
    std::int64_t row_of(std::int64_t step) const;
    /// The running mean and variance of all of `steps`, [steps.count(), features].
    Moments running_moments(Tape& tape, const Steps& steps);
    /// scale / sqrt(variance + epsilon), but for features that hardly vary.
    Var factor(Var variance);
    Var apply(Var x, Var mean, Var factor);
    void track_steps(const Moments& moments, const Steps& steps);

    RecurrentBatchNormOptions options_;
    std::int64_t steps_;
    Parameter scale_;
    std::optional<Parameter> shift_;
};

/// One pass over a batch of sequences, step by step, where the input of a step depends on the output of the one before:
/// called with x [examples, features] once for each step, in order, and finished after the last. The layer and `steps`
/// must outlive it.
class RecurrentBatchNorm::Sequence {
  public:
    Sequence(RecurrentBatchNorm& layer, Tape& tape, const Steps& steps);

    Var operator()(Var x);
    /// Hands the statistics of all steps to the layer, to be tracked.
    void finish();

  private:
    RecurrentBatchNorm& layer_;
    const Steps& steps_;
    std::int64_t step_ = 0;
    /// Of all steps, where they normalise.
    Var running_mean_, running_factor_;
    std::vector<Operand> means_, variances_;
};

} // namespace cotape::nn

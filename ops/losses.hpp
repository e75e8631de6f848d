#pragma once

#include <optional>

#include <cotape/core/op.hpp>

namespace cotape {

/// How the losses of a batch become one, with PyTorch's names.
enum class Reduction {
    mean,
    sum,
    none, ///< they do not: a loss for each element, or for each example of cross_entropy
};

struct LossOptions {
    Reduction reduction = Reduction::mean;
};

struct CrossEntropyOptions {
    /// The share of the target probability spread evenly over all classes, in [0, 1].
    double label_smoothing = 0;
    /// A weight for each class, of shape [classes] and the type of the logits; all equal where empty. The mean is then
    /// a weighted one, as PyTorch's.
    Tensor class_weights = {};
    Reduction reduction = Reduction::mean;
    /// Examples of this label, a class or not, count neither in the loss nor in the mean, which is NaN where no other
    /// is left. PyTorch's -100 has to be asked for.
    std::optional<std::int64_t> ignore_index = {};
};

/// The mean over the batch of -log softmax(logits)[label], or as options.reduction has it: logits [N, classes], int64
/// labels [N]. A label outside the classes throws ValueError at once, with its position.
Var cross_entropy(Operand logits, const Tensor& labels, const CrossEntropyOptions& options = {});

/// The mean of (prediction - target)^2, or as options.reduction has it. Throws ShapeError unless the shapes are equal:
/// a broadcast here is a mistake.
Var mean_squared_error(Operand prediction, Operand target, const LossOptions& options = {});

/// The mean of -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)) for targets t in [0, 1], or as options.reduction has
/// it, without overflow, and without cancellation for confident logits of either sign: t softplus(-x) + (1 - t)
/// softplus(x). Throws ShapeError unless the shapes are equal.
Var binary_cross_entropy_with_logits(Operand logits, Operand targets, const LossOptions& options = {});

} // namespace cotape

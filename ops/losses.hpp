#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

struct CrossEntropyOptions {
    /// The share of the target probability spread evenly over all classes, in [0, 1].
    double label_smoothing = 0;
    /// A weight for each class, of shape [classes] and the type of the logits; all equal where empty. The loss is then
    /// a weighted mean, as PyTorch's.
    Tensor class_weights = {};
};

/// The mean over the batch of -log softmax(logits)[label]: logits [N, classes], int64 labels [N]. A label outside the
/// classes throws ValueError at once, with its position.
Var cross_entropy(Operand logits, const Tensor& labels, const CrossEntropyOptions& options = {});

/// The mean of (prediction - target)^2. Throws ShapeError unless the shapes are equal: a broadcast here is a mistake.
Var mean_squared_error(Operand prediction, Operand target);

/// The mean of -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)) for targets t in [0, 1], without overflow, and without
/// cancellation for confident logits of either sign: t softplus(-x) + (1 - t) softplus(x). Throws ShapeError unless the
/// shapes are equal.
Var binary_cross_entropy_with_logits(Operand logits, Operand targets);

} // namespace cotape

#pragma once

#include <random>
#include <string>
#include <vector>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// What folding did, and how far the outputs moved.
struct FoldReport {
    /// The paths of the normalisers that were folded.
    std::vector<std::string> folded;
    /// The largest distance between an output of the probe batch before and after, and the largest output before: both
    /// nets compute in float32, and differ by its rounding.
    double largest_deviation = 0;
    double largest_output = 0;
};

/// Folds every batch norm of `model`, as it evaluates, into the Linear or convolution right before it:
///
///     weight' = weight * scale / sqrt(variance + epsilon)
///     bias' = (bias - mean) * scale / sqrt(variance + epsilon) + shift
///
/// computed in double and rounded once. The model is changed in place: the layers get these weights, and a bias where
/// they had none; an Identity stands where a batch norm stood, so that all paths stay.
///
/// The cells of a BatchNormLSTM become FoldedLSTMCells: at time step t the two normalised products and the bias are
///
///     factor_ih[t] * (W_ih x) + factor_hh[t] * (W_hh h) + bias[t],   factor[t] = scale / sqrt(variance[t] + epsilon)
///
/// with the means of both products in `bias`, [steps, 4 * hidden]. Factors that all steps share go into the weights.
///
/// What refers to a normaliser or cell of the model, or was made from its parameters (an optimiser), is not to be used
/// any more. `probe` is an input of the model, on which both are compared.
///
/// All normalisers are folded, or, where anything throws, none. Throws ValueError, saying which and why, where
/// - the model or a batch norm in it is in training mode, or a batch norm is told to use the batch's statistics;
/// - something else stands between the layer and the batch norm, an activation for example, or the batch norm is no
///   part of a Sequential, so that what stands before it is not known, or a cell is no layer of a BatchNormLSTM;
/// - the layer or recurrent net has a parameter, or is itself, at another place of the model as well;
/// - the batch norm normalises another axis than the one that the layer's outputs lie on, or the probe does not reach
///   it;
/// - a folded weight, or an element of the probe, is not finite, or the probe holds no element.
FoldReport fold_batch_norm(Module& model, const Tensor& probe);

/// With a probe of `shape` drawn from the standard normal distribution.
FoldReport fold_batch_norm(Module& model, const Shape& shape, std::mt19937& random);

} // namespace cotape::nn

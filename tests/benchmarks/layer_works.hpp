#pragma once

#include <functional>

namespace works {

// Layers alone, forward and backward: the output, and the gradients of input and parameters, of a random cotangent.

/// BatchNorm1d on [256, 1024], with the new running statistics.
std::function<void()> normalize_features();
/// What that reads and writes at least, copied: x to y, the cotangent of y to that of x.
std::function<void()> copy_features();
/// BatchNorm2d and relu on [64, 64, 56, 56], with the new running statistics.
std::function<void()> normalize_images();
/// The same in hand-written loops.
std::function<void()> normalize_images_by_hand();
/// An LSTM of 128 units over 28 steps of 64 examples with 28 inputs.
std::function<void()> unroll_lstm();
/// The same batch-normalised (Cooijmans et al. 2016), with the new running statistics.
std::function<void()> unroll_batch_norm_lstm();

} // namespace works

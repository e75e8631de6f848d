#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

// The statistics that batch normalisation is composed of. For x of shape [N, C] they reduce over the batch; for [N, C,
// ...] over the batch and every axis after the channels. The result keeps the reduced axes ([1, C] or [1, C, 1, ...]),
// so that it broadcasts against x. Throw ShapeError for rank below 2 and for an empty batch.

/// The mean of each channel, accumulated in double.
Var batch_mean(Operand x);

/// The population variance of each channel (divided by the count), in two passes, accumulated in double.
Var batch_variance(Operand x);

} // namespace cotape

#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

// How reductions are taken in tile by tile, for evaluators that fuse them with what computes the tiles.

extern const FoldKernel sum_fold;
extern const FoldKernel mean_fold;
/// Shifted sums of the elements and of their squares, joined by the formula of Chan, Golub and LeVeque.
extern const FoldKernel variance_fold;
extern const FoldKernel max_fold;
extern const FoldKernel min_fold;
/// The largest element so far, and the sum of the exponentials of the distances from it.
extern const FoldKernel logsumexp_fold;

} // namespace cotape

#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

// How sums, means and variances are taken in tile by tile, for evaluators that fuse them with what computes the tiles.

extern const FoldKernel sum_fold;
extern const FoldKernel mean_fold;
/// Keeps count, mean and squared distances from the mean, by the formulas of Welford and of Chan, Golub and LeVeque.
extern const FoldKernel variance_fold;

} // namespace cotape

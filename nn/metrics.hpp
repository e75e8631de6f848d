#pragma once

#include <cotape/core/tensor.hpp>

namespace cotape::nn {

/// The share of rows of `logits`, [N, classes], whose largest entry stands at the row's label (int64 [N]). A row with a
/// NaN counts as wrong. Throws ShapeError or DtypeError where they do not fit, or for no rows.
double accuracy(const Tensor& logits, const Tensor& labels);

} // namespace cotape::nn

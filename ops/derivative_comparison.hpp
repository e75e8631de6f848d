#pragma once

#include <cotape/ops/gradient_check.hpp>

namespace cotape {

/// What check_gradients does once inputs and options are found to be valid: `inputs` are finite, float64, and not
/// empty.
GradientCheckReport compare_derivatives(const CheckedFunction& function, const std::vector<Tensor>& inputs,
                                        const GradientCheckOptions& options);

} // namespace cotape

#pragma once

#include <functional>

#include <cotape/nn/module.hpp>
#include <cotape/ops/gradient_check.hpp>

namespace cotape::nn {

/// Checks the gradients of `loss(net(x))` with respect to x and every parameter of the net, in float64 whatever their
/// type, in the mode the net is in. Input 0 of the report is x, and called so; the others are `net.parameters()`, in
/// order, called by their paths. Running statistics stay as they are.
GradientCheckReport check_gradients(Module& net, const Tensor& x, const std::function<Var(Var)>& loss,
                                    const GradientCheckOptions& options = {});

} // namespace cotape::nn

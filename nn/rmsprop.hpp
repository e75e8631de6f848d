#pragma once

#include <cotape/nn/optimizer.hpp>

namespace cotape::nn {

/// How RMSProp steps, with PyTorch's defaults.
struct RmsPropOptions {
    double learning_rate = 0.01;
    /// The decay rate of the mean square.
    double decay = 0.99;
    /// Added to the root of the mean square.
    double epsilon = 1e-8;
    /// The velocity becomes momentum * velocity + the gradient over that root, and the step learning_rate * velocity.
    double momentum = 0;
    /// Adds weight_decay * parameter to the gradient.
    double weight_decay = 0;
};

/// RMSProp (Tieleman and Hinton 2012), with PyTorch's formulas: epsilon outside the root.
class RmsProp : public Optimizer {
  public:
    explicit RmsProp(Module& model, const RmsPropOptions& options = {});

  protected:
    Var update(const Slot& slot, Var parameter, Var gradient, Var rate) override;

  private:
    RmsPropOptions options_;
};

} // namespace cotape::nn

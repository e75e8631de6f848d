#pragma once

#include <cotape/nn/optimizer.hpp>

namespace cotape::nn {

/// How stochastic gradient descent steps.
struct SgdOptions {
    double learning_rate = 0.01;
    /// The velocity becomes momentum * velocity + gradient, and the step learning_rate * velocity.
    double momentum = 0;
    /// Steps along gradient + momentum * velocity instead (Sutskever et al. 2013).
    bool nesterov = false;
    /// Adds weight_decay * parameter to the gradient.
    double weight_decay = 0;
};

/// Stochastic gradient descent, with PyTorch's formulas.
class Sgd : public Optimizer {
  public:
    explicit Sgd(Module& model, const SgdOptions& options = {});

  protected:
    Var update(const Slot& slot, Var parameter, Var gradient, Var rate) override;

  private:
    SgdOptions options_;
};

} // namespace cotape::nn

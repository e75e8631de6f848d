#pragma once

#include <cotape/nn/optimizer.hpp>

namespace cotape::nn {

/// How Adam steps, with PyTorch's defaults.
struct AdamOptions {
    double learning_rate = 0.001;
    /// The decay rates of the first and second moments.
    double beta1 = 0.9;
    double beta2 = 0.999;
    /// Added to the root of the second moment.
    double epsilon = 1e-8;
    /// Adds weight_decay * parameter to the gradient.
    double weight_decay = 0;
};

/// Adam (Kingma and Ba 2015), with PyTorch's formulas: bias-corrected moments, epsilon outside the root.
class Adam : public Optimizer {
  public:
    explicit Adam(Module& model, const AdamOptions& options = {}) : Adam("Adam", false, model, options) {}

  protected:
    Adam(std::string name, bool decoupled_decay, Module& model, const AdamOptions& options);
    Var update(const Slot& slot, Var parameter, Var gradient, Var rate) override;

  private:
    AdamOptions options_;
    bool decoupled_decay_;
};

/// How AdamW steps: as AdamOptions, but for the weight decay.
struct AdamWOptions {
    double learning_rate = 0.001;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    /// Each step shrinks the parameter by learning_rate * weight_decay.
    double weight_decay = 0.01;
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
class AdamW : public Adam {
  public:
    explicit AdamW(Module& model, const AdamWOptions& options = {})
        : Adam("AdamW", true, model,
               {options.learning_rate, options.beta1, options.beta2, options.epsilon, options.weight_decay}) {}
};

} // namespace cotape::nn

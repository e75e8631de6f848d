#pragma once

#include <string>

#include <cotape/nn/module.hpp>
#include <cotape/ops/activations.hpp>

namespace cotape::nn {

/// An elementwise function without state as a module.
class Activation : public Module {
  public:
    using Function = Var (*)(Operand);
    Activation(std::string name, Function function) : name_(std::move(name)), function_(function) {}

    std::string describe() const override { return name_; }

  protected:
    Var forward(Var x) override { return function_(x); }

  private:
    std::string name_;
    Function function_;
};

/// max(x, 0)
struct Relu : Activation {
    Relu() : Activation("Relu", cotape::relu) {}
};
/// tanh(x)
struct Tanh : Activation {
    Tanh() : Activation("Tanh", cotape::tanh) {}
};
/// 1 / (1 + exp(-x))
struct Sigmoid : Activation {
    Sigmoid() : Activation("Sigmoid", cotape::sigmoid) {}
};
/// log(1 + exp(x))
struct Softplus : Activation {
    Softplus() : Activation("Softplus", cotape::softplus) {}
};

/// x where positive, `slope` times x elsewhere.
class LeakyRelu : public Module {
  public:
    explicit LeakyRelu(double slope = 0.01) : slope_(slope) {}
    std::string describe() const override;

  protected:
    Var forward(Var x) override { return leaky_relu(x, slope_); }

  private:
    double slope_;
};

/// x times the normal distribution function of x.
class Gelu : public Module {
  public:
    explicit Gelu(const GeluOptions& options = {}) : options_(options) {}
    std::string describe() const override;

  protected:
    Var forward(Var x) override { return gelu(x, options_); }

  private:
    GeluOptions options_;
};

} // namespace cotape::nn

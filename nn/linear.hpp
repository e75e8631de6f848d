#pragma once

#include <random>

#include <cotape/nn/weighted_sum.hpp>

namespace cotape::nn {

/// What a linear layer consists of.
struct LinearOptions {
    /// Off for the layer before a batch norm, whose shift makes a bias superfluous.
    bool bias = true;
};

/// y = x W' + b: x [..., inputs], weight [outputs, inputs], bias [outputs]. Both start uniform within
/// 1 / sqrt(inputs), as PyTorch's do. Throws, naming itself, ShapeError for
/// another number of inputs and DtypeError for another element type.
class Linear : public WeightedSum {
  public:
    Linear(std::int64_t inputs, std::int64_t outputs, const LinearOptions& options, std::mt19937& random);
    Linear(std::int64_t inputs, std::int64_t outputs, std::mt19937& random) : Linear(inputs, outputs, {}, random) {}

    std::string describe() const override;

  protected:
    Var forward(Var x) override;
};

} // namespace cotape::nn

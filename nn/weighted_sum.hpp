#pragma once

#include <optional>
#include <random>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// A layer each of whose output channels is a weighted sum of inputs plus a bias: Linear, the convolutions.
class WeightedSum : public Module {
  public:
    const Parameter& weight() const { return weight_; }
    /// [channels]; empty for a layer without.
    const std::optional<Parameter>& bias() const { return bias_; }
    /// Replaces both; gives the layer a bias, or takes it away. Throws ShapeError or DtypeError for another type; both
    /// are then as before.
    void set(Tensor weight, const std::optional<Tensor>& bias);

    std::int64_t output_channels() const { return output_channels_; }
    /// The output channel that the element of the weight at a row-major position belongs to: the first axis unless the
    /// derived class has it otherwise.
    virtual std::int64_t channel_of(std::int64_t position) const {
        return position / (weight_.value().size() / output_channels_);
    }

    void visit(Visitor& visitor) override;

  protected:
    /// Weight and bias, if there is one, start uniform within `bound`, drawn in this order.
    WeightedSum(double bound, const Shape& weight, std::int64_t output_channels, bool bias, std::mt19937& random);

  private:
    std::int64_t output_channels_;
    Parameter weight_;
    std::optional<Parameter> bias_;
};

} // namespace cotape::nn

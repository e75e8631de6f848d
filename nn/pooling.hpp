#pragma once

#include <string>

#include <cotape/nn/module.hpp>
#include <cotape/ops/pooling.hpp>

namespace cotape::nn {

// Pooling layers, without parameters. Each takes [N, C, spatial...] with as many spatial axes as its name says, and
// throws what the functions of the same names in ops/pooling.hpp throw: for windows out of range when it is made, for
// inputs that do not fit when it is called.

/// The largest element of each window; see max_pool2d.
class MaxPool : public Module {
  public:
    std::string describe() const override;

  protected:
    MaxPool(std::size_t axes, const PerAxis& kernel_size, const MaxPoolOptions& options);
    Var forward(Var x) override;

  private:
    std::size_t axes_;
    PerAxis kernel_size_;
    MaxPoolOptions options_;
};

/// MaxPool over so many spatial axes.
template <std::size_t spatial_axes>
class MaxPoolOver : public MaxPool {
  public:
    explicit MaxPoolOver(const PerAxis& kernel_size, const MaxPoolOptions& options = {})
        : MaxPool(spatial_axes, kernel_size, options) {}
};
using MaxPool1d = MaxPoolOver<1>;
using MaxPool2d = MaxPoolOver<2>;
using MaxPool3d = MaxPoolOver<3>;

/// The mean of each window; see avg_pool2d.
class AvgPool : public Module {
  public:
    std::string describe() const override;

  protected:
    AvgPool(std::size_t axes, const PerAxis& kernel_size, const AvgPoolOptions& options);
    Var forward(Var x) override;

  private:
    std::size_t axes_;
    PerAxis kernel_size_;
    AvgPoolOptions options_;
};

/// AvgPool over so many spatial axes.
template <std::size_t spatial_axes>
class AvgPoolOver : public AvgPool {
  public:
    explicit AvgPoolOver(const PerAxis& kernel_size, const AvgPoolOptions& options = {})
        : AvgPool(spatial_axes, kernel_size, options) {}
};
using AvgPool1d = AvgPoolOver<1>;
using AvgPool2d = AvgPoolOver<2>;
using AvgPool3d = AvgPoolOver<3>;

/// The mean of each of `output_size` windows that cover the input; see adaptive_avg_pool2d.
class AdaptiveAvgPool : public Module {
  public:
    std::string describe() const override;

  protected:
    AdaptiveAvgPool(std::size_t axes, const PerAxis& output_size);
    Var forward(Var x) override;

  private:
    std::size_t axes_;
    PerAxis output_size_;
};

/// AdaptiveAvgPool over so many spatial axes.
template <std::size_t spatial_axes>
class AdaptiveAvgPoolOver : public AdaptiveAvgPool {
  public:
    explicit AdaptiveAvgPoolOver(const PerAxis& output_size) : AdaptiveAvgPool(spatial_axes, output_size) {}
};
using AdaptiveAvgPool1d = AdaptiveAvgPoolOver<1>;
using AdaptiveAvgPool2d = AdaptiveAvgPoolOver<2>;
using AdaptiveAvgPool3d = AdaptiveAvgPoolOver<3>;

} // namespace cotape::nn

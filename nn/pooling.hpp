#pragma once

#include <string>

#include <cotape/nn/module.hpp>
#include <cotape/ops/pooling.hpp>

namespace cotape::nn {

// Pooling layers, without parameters. Each takes [N, C, spatial...] with as many spatial axes as its name says; see the
// functions of the same names in ops/pooling.hpp.

/// The largest element of each window.
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

class MaxPool1d : public MaxPool {
  public:
    explicit MaxPool1d(const PerAxis& kernel_size, const MaxPoolOptions& options = {})
        : MaxPool(1, kernel_size, options) {}
};

class MaxPool2d : public MaxPool {
  public:
    explicit MaxPool2d(const PerAxis& kernel_size, const MaxPoolOptions& options = {})
        : MaxPool(2, kernel_size, options) {}
};

class MaxPool3d : public MaxPool {
  public:
    explicit MaxPool3d(const PerAxis& kernel_size, const MaxPoolOptions& options = {})
        : MaxPool(3, kernel_size, options) {}
};

/// The mean of each window.
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

class AvgPool1d : public AvgPool {
  public:
    explicit AvgPool1d(const PerAxis& kernel_size, const AvgPoolOptions& options = {})
        : AvgPool(1, kernel_size, options) {}
};

class AvgPool2d : public AvgPool {
  public:
    explicit AvgPool2d(const PerAxis& kernel_size, const AvgPoolOptions& options = {})
        : AvgPool(2, kernel_size, options) {}
};

class AvgPool3d : public AvgPool {
  public:
    explicit AvgPool3d(const PerAxis& kernel_size, const AvgPoolOptions& options = {})
        : AvgPool(3, kernel_size, options) {}
};

/// The mean of each of `output_size` windows that cover the input.
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

class AdaptiveAvgPool1d : public AdaptiveAvgPool {
  public:
    explicit AdaptiveAvgPool1d(const PerAxis& output_size) : AdaptiveAvgPool(1, output_size) {}
};

class AdaptiveAvgPool2d : public AdaptiveAvgPool {
  public:
    explicit AdaptiveAvgPool2d(const PerAxis& output_size) : AdaptiveAvgPool(2, output_size) {}
};

class AdaptiveAvgPool3d : public AdaptiveAvgPool {
  public:
    explicit AdaptiveAvgPool3d(const PerAxis& output_size) : AdaptiveAvgPool(3, output_size) {}
};

} // namespace cotape::nn

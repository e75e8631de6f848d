#pragma once

#include <random>
#include <string>

#include <cotape/nn/weighted_sum.hpp>
#include <cotape/ops/convolution.hpp>

namespace cotape::nn {

/// As ConvolutionOptions, with a bias.
struct ConvOptions {
    PerAxis stride = 1;
    PerAxis padding = 0;
    PerAxis dilation = 1;
    std::int64_t groups = 1;
    /// Off for the layer before a batch norm, whose shift makes a bias superfluous.
    bool bias = true;
};

/// As ConvolutionTransposeOptions, with a bias.
struct ConvTransposeOptions {
    PerAxis stride = 1;
    PerAxis padding = 0;
    PerAxis output_padding = 0;
    PerAxis dilation = 1;
    std::int64_t groups = 1;
    bool bias = true;
};

/// What convolutional layers share: a weight, with as many spatial axes as the input has, and a bias for each output
/// channel. Both start uniform within 1 / sqrt(fan in), as PyTorch's do, where the fan in is the weight's second extent
/// times the size of its kernel.
class Convolutional : public WeightedSum {
  protected:
    Convolutional(const Shape& weight, std::int64_t output_channels, bool bias, std::mt19937& random);

    /// The convolution of x; `factors` is the weight on x's tape.
    virtual Var convolve(Var x, Var factors) = 0;
    Var forward(Var x) override;

    std::size_t axes() const { return weight().type().shape.size() - 2; }
};

/// Convolution of [N, inputs, spatial...] with a weight [outputs, inputs / groups, kernel...]; see conv2d. Throws
/// ValueError for channels that do not fall into the groups, for extents below 1, and for options out of range.
class Conv : public Convolutional {
  public:
    std::string describe() const override;

  protected:
    Conv(std::size_t axes, std::int64_t inputs, std::int64_t outputs, const PerAxis& kernel_size,
         const ConvOptions& options, std::mt19937& random);
    Var convolve(Var x, Var factors) override;

  private:
    ConvolutionOptions options_;
};

/// Transposed convolution of [N, inputs, spatial...] with a weight [inputs, outputs / groups, kernel...]; see
/// conv_transpose2d. Throws as Conv.
class ConvTranspose : public Convolutional {
  public:
    /// Each group of input channels gives a group of output channels, which the second axis of the weight counts.
    std::int64_t channel_of(std::int64_t position) const override;
    std::string describe() const override;

  protected:
    ConvTranspose(std::size_t axes, std::int64_t inputs, std::int64_t outputs, const PerAxis& kernel_size,
                  const ConvTransposeOptions& options, std::mt19937& random);
    Var convolve(Var x, Var factors) override;

  private:
    ConvolutionTransposeOptions options_;
};

/// Conv or ConvTranspose over so many spatial axes.
template <class Layer, class Options, std::size_t spatial_axes>
class ConvolutionalOver : public Layer {
  public:
    ConvolutionalOver(std::int64_t inputs, std::int64_t outputs, const PerAxis& kernel_size, const Options& options,
                      std::mt19937& random)
        : Layer(spatial_axes, inputs, outputs, kernel_size, options, random) {}
    ConvolutionalOver(std::int64_t inputs, std::int64_t outputs, const PerAxis& kernel_size, std::mt19937& random)
        : ConvolutionalOver(inputs, outputs, kernel_size, {}, random) {}
};
using Conv1d = ConvolutionalOver<Conv, ConvOptions, 1>;
using Conv2d = ConvolutionalOver<Conv, ConvOptions, 2>;
using Conv3d = ConvolutionalOver<Conv, ConvOptions, 3>;
using ConvTranspose1d = ConvolutionalOver<ConvTranspose, ConvTransposeOptions, 1>;
using ConvTranspose2d = ConvolutionalOver<ConvTranspose, ConvTransposeOptions, 2>;
using ConvTranspose3d = ConvolutionalOver<ConvTranspose, ConvTransposeOptions, 3>;

} // namespace cotape::nn

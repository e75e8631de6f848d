#pragma once

#include <optional>
#include <string>

#include <cotape/nn/normalizer.hpp>

namespace cotape::nn {

/// How a batch norm normalises, with PyTorch's defaults.
struct BatchNormOptions {
    /// Added to the variance before the square root; positive in training.
    double epsilon = 1e-5;
    /// The weight of the *new* value in the running statistics (PyTorch's convention; ONNX's and oneDNN's momentum
    /// weighs the old one). Empty for the plain average over all batches seen.
    std::optional<double> momentum = 0.1;
    /// Whether the normalised values are scaled and shifted by learnt parameters.
    bool affine = true;
};

/// Batch normalisation (Ioffe and Szegedy 2015) over axis 1 of x, [N, C] or [N, C, ...]:
///
///     y = scale * (x - mean) / sqrt(variance + epsilon) + shift
///
/// composed of differentiable ops. In training `mean` and `variance` are the batch's, the variance divided by n; in
/// evaluation the running ones, [C], which Normalizer tells of. `scale` starts at 1 and `shift` at 0. The layer before
/// needs no bias, and the activation comes after. In float32 the variance overflows where x is spread over more than
/// 1e19: the outputs are then `shift`, the gradient of x is 0, or NaN from about 1e38 on, where sums of x overflow, and
/// finite-check mode names the batch_variance. Throws ShapeError for another rank or channel count, and in training for
/// one value per channel.
class BatchNorm : public Normalizer {
  public:
    std::int64_t channels() const { return running_mean().shape()[0]; }
    /// Empty where the layer is not affine.
    const std::optional<Parameter>& scale() const { return scale_; }
    const std::optional<Parameter>& shift() const { return shift_; }

    void visit(Visitor& visitor) override;
    std::string describe() const override;

  protected:
    /// Takes inputs of rank `least_rank` to `most_rank`; `name` is the layer's, as messages print it.
    BatchNorm(std::string name, std::size_t least_rank, std::size_t most_rank, std::int64_t channels,
              const BatchNormOptions& options);

    Var forward(Var x) override;

  private:
    void require_input(const Shape& shape) const;

    std::size_t least_rank_, most_rank_;
    std::optional<Parameter> scale_, shift_;
};

/// Batch normalisation of [N, C] or [N, C, L].
class BatchNorm1d : public BatchNorm {
  public:
    explicit BatchNorm1d(std::int64_t channels, const BatchNormOptions& options = {})
        : BatchNorm("BatchNorm1d", 2, 3, channels, options) {}
};

/// Batch normalisation of images [N, C, H, W]: one mean and one variance per feature map, over the batch and all
/// pixels.
class BatchNorm2d : public BatchNorm {
  public:
    explicit BatchNorm2d(std::int64_t channels, const BatchNormOptions& options = {})
        : BatchNorm("BatchNorm2d", 4, 4, channels, options) {}
};

/// Batch normalisation of volumes [N, C, D, H, W], per feature map as BatchNorm2d.
class BatchNorm3d : public BatchNorm {
  public:
    explicit BatchNorm3d(std::int64_t channels, const BatchNormOptions& options = {})
        : BatchNorm("BatchNorm3d", 5, 5, channels, options) {}
};

} // namespace cotape::nn

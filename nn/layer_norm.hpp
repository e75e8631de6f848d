#pragma once

#include <optional>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// How a layer norm normalises, with PyTorch's defaults.
struct LayerNormOptions {
    /// Added to the variance before the square root.
    double epsilon = 1e-5;
    /// Whether the normalised values are scaled and shifted by learnt parameters of the normalised shape.
    bool affine = true;
};

/// Layer normalisation (Ba, Kiros and Hinton 2016): each example normalised over its last axes, whose extents are
/// `shape`, with the variance divided by n; the same in training and evaluation. Throws ShapeError for other extents.
class LayerNorm : public Module {
  public:
    explicit LayerNorm(const Shape& shape, const LayerNormOptions& options = {});

    void visit(Visitor& visitor) override;
    std::string describe() const override;

  protected:
    Var forward(Var x) override;

  private:
    Shape shape_;
    LayerNormOptions options_;
    std::optional<Parameter> scale_, shift_;
};

} // namespace cotape::nn

#include <cotape/nn/layer_norm.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

namespace cotape::nn {

LayerNorm::LayerNorm(const Shape& shape, const LayerNormOptions& options) : shape_(shape), options_(options) {
    if (shape.empty() || std::ranges::any_of(shape, [](std::int64_t extent) { return extent < 1; }))
        throw ShapeError(
            fmt::format("LayerNorm: needs at least one axis of positive extent, got {}", to_string(shape)));
    if (!(options.epsilon >= 0))
        throw ValueError(fmt::format("LayerNorm: epsilon must not be negative, got {}", options.epsilon));
    if (!options.affine) return;
    scale_.emplace(Tensor::full(shape, 1));
    shift_.emplace(Tensor::full(shape, 0));
}

Var LayerNorm::forward(Var x) {
    const Shape& shape = x.shape();
    if (shape.size() < shape_.size() || !std::equal(shape_.begin(), shape_.end(), shape.end() - shape_.size()))
        throw ShapeError(
            fmt::format("LayerNorm: the last axes must be {}, got {}", to_string(shape_), to_string(shape)));
    Shape axes;
    for (std::size_t i = 1; i <= shape_.size(); ++i) axes.push_back(-static_cast<std::int64_t>(i));
    Var centred = x - mean(x, axes, {.keep_dims = true});
    Var normalized = centred * rsqrt(variance(x, axes, {.keep_dims = true}) + options_.epsilon);
    if (!options_.affine) return normalized;
    Var scale = x.tape().variable(*scale_);
    require_dtype(scale, x.dtype());
    return scale * normalized + x.tape().variable(*shift_);
}

void LayerNorm::visit(Visitor& visitor) {
    visitor("weight", scale_);
    visitor("bias", shift_);
}

std::string LayerNorm::describe() const {
    return fmt::format("LayerNorm({}, epsilon {}{})", to_string(shape_), options_.epsilon,
                       options_.affine ? "" : ", not affine");
}

} // namespace cotape::nn

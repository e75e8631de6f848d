#include <cotape/nn/dropout.hpp>

#include <fmt/format.h>

#include <cotape/core/draws.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/arithmetic.hpp>

namespace cotape::nn {

Dropout::Dropout(double p, std::mt19937& random) : p_(p), random_(draw_bits(random)) {
    if (!(p >= 0 && p <= 1)) throw ValueError(fmt::format("Dropout: p must be in [0, 1], got {}", p));
}

Var Dropout::forward(Var x) {
    if (!is_training() || p_ == 0) return x;
    Tensor kept = Tensor::make<float>(x.shape(), [&](std::span<float> mask) {
        for (float& element : mask) element = draw_uniform(random_, 0, 1) >= p_ ? 1.0f : 0.0f;
    });
    double scale = p_ == 1 ? 0 : 1 / (1 - p_);
    return where(x.tape().constant(kept.as(x.dtype())), x * scale, 0);
}

std::string Dropout::describe() const { return fmt::format("Dropout({})", p_); }

} // namespace cotape::nn

#include <cotape/nn/weighted_sum.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/nn/initializers.hpp>

namespace cotape::nn {

WeightedSum::WeightedSum(double bound, const Shape& weight, std::int64_t output_channels, bool bias,
                         std::mt19937& random)
    : output_channels_(output_channels), weight_(uniform(weight, -bound, bound, random)) {
    if (bias) bias_.emplace(uniform({output_channels}, -bound, bound, random));
}

void WeightedSum::set(Tensor weight, const std::optional<Tensor>& bias) {
    Type required{{output_channels_}, weight_.type().dtype};
    std::string mismatch =
        bias ? fmt::format("set: the bias must be {}, got {}", to_string(required), to_string(bias->type())) : "";
    if (bias && bias->dtype() != required.dtype) throw DtypeError(mismatch);
    if (bias && !(bias->shape() == required.shape)) throw ShapeError(mismatch);
    weight_.assign(std::move(weight));
    if (!bias)
        bias_.reset();
    else if (bias_)
        bias_->assign(*bias);
    else
        bias_.emplace(*bias);
}

void WeightedSum::visit(Visitor& visitor) {
    visitor("weight", weight_);
    visitor("bias", bias_);
}

} // namespace cotape::nn

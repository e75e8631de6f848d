#include <cotape/nn/batch_norm.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/along_channels.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>

namespace cotape::nn {
namespace {

Shape statistics_shape(const std::string& name, std::int64_t channels) {
    if (channels < 1) throw ValueError(fmt::format("{}: needs at least one channel, got {}", name, channels));
    return {channels};
}

} // namespace

BatchNorm::BatchNorm(std::string name, std::size_t least_rank, std::size_t most_rank, std::int64_t channels,
                     const BatchNormOptions& options)
    : Normalizer(name, statistics_shape(name, channels), options.epsilon, options.momentum), least_rank_(least_rank),
      most_rank_(most_rank) {
    if (!options.affine) return;
    scale_.emplace(Tensor::full({channels}, 1));
    shift_.emplace(Tensor::full({channels}, 0));
}

Var BatchNorm::forward(Var x) {
    require_input(x.shape());
    Tape& tape = x.tape();

    Var mean, variance;
    if (needs_batch()) {
        mean = batch_mean(x);
        variance = batch_variance(x);
        track({mean, variance, Tensor(static_cast<double>(element_count(x.shape()) / channels()))});
    }
    if (!normalizes_by_batch()) {
        auto [running_mean, running_variance] = running_statistics(tape);
        require_dtype(running_mean, x.dtype());
        mean = along_channels(running_mean, x.shape());
        variance = along_channels(running_variance, x.shape());
    }
    Var factor = rsqrt(variance + epsilon());
    if (!scale_) return (x - mean) * factor;
    Var scale = tape.variable(*scale_);
    require_dtype(scale, x.dtype());
    factor = along_channels(scale, x.shape()) * factor;
    return (x - mean) * factor + along_channels(tape.variable(*shift_), x.shape());
}

void BatchNorm::require_input(const Shape& shape) const {
    if (shape.size() < least_rank_ || shape.size() > most_rank_ || shape[1] != channels()) {
        std::string ranks = least_rank_ == most_rank_ ? fmt::format("{}", least_rank_)
                                                      : fmt::format("{} or {}", least_rank_, most_rank_);
        throw ShapeError(fmt::format("{}: needs rank {} with {} channels on axis 1, got {}", name(), ranks, channels(),
                                     to_string(shape)));
    }
    if (!normalizes_by_batch()) return;
    std::int64_t values = element_count(shape) / channels();
    if (values == 0) throw ShapeError(fmt::format("{}: needs at least one example, got {}", name(), to_string(shape)));
    if (values == 1)
        throw ShapeError(fmt::format("{}: expected more than 1 value per channel when training, got input size {}",
                                     name(), to_string(shape)));
    if (!(epsilon() > 0))
        throw ValueError(fmt::format("{}: epsilon must be positive in training, got {}", name(), epsilon()));
}

void BatchNorm::visit(Visitor& visitor) {
    visitor("weight", scale_);
    visitor("bias", shift_);
    Normalizer::visit(visitor);
}

std::string BatchNorm::describe() const {
    return fmt::format("{}({}{}{})", name(), channels(), describe_statistics(), scale_ ? "" : ", not affine");
}

} // namespace cotape::nn

#include <cotape/nn/recurrent_batch_norm.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {
namespace {

constexpr const char* layer_name = "RecurrentBatchNorm";

Shape statistics_shape(std::int64_t features, std::int64_t steps, bool shared) {
    if (features < 1 || steps < 1)
        throw ValueError(
            fmt::format("{}: needs at least one feature and one step, got {} and {}", layer_name, features, steps));
    return shared ? Shape{features} : Shape{steps, features};
}

Var row(Var matrix, std::int64_t index) { return slice(matrix, 0, index, index + 1); }

} // namespace

RecurrentBatchNorm::RecurrentBatchNorm(std::int64_t features, std::int64_t steps,
                                       const RecurrentBatchNormOptions& options)
    : Normalizer(layer_name, statistics_shape(features, steps, options.shared), options.epsilon, options.momentum),
      options_(options), steps_(steps), scale_(Tensor::full({features}, options.initial_scale)) {
    if (!(options.least_variance >= 0))
        throw ValueError(
            fmt::format("{}: least_variance must not be negative, got {}", layer_name, options.least_variance));
    if (!std::isfinite(options.initial_scale))
        throw ValueError(fmt::format("{}: initial_scale must be finite, got {}", layer_name, options.initial_scale));
    if (options.shift) shift_.emplace(Tensor::full({features}, 0));
}

void RecurrentBatchNorm::require(const Shape& rows, const Steps& steps) const {
    Shape shape{steps.count(), steps.examples(), rows.back()};
    if (rows.back() != features())
        throw ShapeError(
            fmt::format("{}: needs [steps, examples, {}], got {}", layer_name, features(), to_string(shape)));
    if (!normalizes_by_batch()) return;
    std::int64_t most = std::ranges::max(steps.present());
    if (most == 0 && steps.examples() > 0)
        throw ValueError(fmt::format("{}: the mask leaves nothing of {} to normalise in training", layer_name,
                                     to_string(shape)));
    if (most == 0)
        throw ShapeError(fmt::format("{}: needs at least one example, got {}", layer_name, to_string(shape)));
    if (most == 1)
        throw ShapeError(
            fmt::format("{}: expected more than 1 value per feature and step when training, got input size {}{}",
                        layer_name, to_string(shape), steps.mask() ? ", masked" : ""));
    if (!(epsilon() > 0))
        throw ValueError(fmt::format("{}: epsilon must be positive in training, got {}", layer_name, epsilon()));
}

RecurrentBatchNorm::Moments RecurrentBatchNorm::moments_of(Var x, Var present) {
    if (!present) return {mean(x, {-2}, {.keep_dims = true}), variance(x, {-2}, {.keep_dims = true})};
    auto mean_of_present = [&](Var values) {
        Var count = maximum(sum(present, {-2}, {.keep_dims = true}), 1);
        return sum(cotape::where(present, values, 0), {-2}, {.keep_dims = true}) / count;
    };
    Var rounded = mean_of_present(x), centre = rounded + mean_of_present(x - rounded); // of equal values, that value
    return {centre, mean_of_present(square(x - centre))};
}

std::int64_t RecurrentBatchNorm::row_of(std::int64_t step) const {
    if (options_.shared) return 0;
    std::int64_t known = std::min(step, steps_ - 1), reached = reached_step(batch_counts(), known);
    return reached >= 0 ? reached : known;
}

RecurrentBatchNorm::Moments RecurrentBatchNorm::running_moments(Tape& tape, const Steps& steps) {
    auto [mean, variance] = running_statistics(tape);
    Tensor rows = Tensor::make<std::int64_t>({steps.count()}, [&](std::span<std::int64_t> rows) {
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = row_of(steps.first() + static_cast<std::int64_t>(i));
    });
    auto of_steps = [&](Var statistic) { return take(reshape(statistic, {-1, features()}), tape.constant(rows)); };
    return {of_steps(mean), of_steps(variance)};
}

Var RecurrentBatchNorm::factor(Var variance) {
    Var inverse = cotape::where(greater(variance, options_.least_variance), rsqrt(variance + epsilon()), 1);
    Var scale = variance.tape().variable(scale_);
    require_dtype(scale, variance.dtype());
    return scale * inverse;
}

Var RecurrentBatchNorm::apply(Var x, Var mean, Var factor) {
    require_dtype(factor, x.dtype());
    Var y = (x - mean) * factor;
    return shift_ ? y + x.tape().variable(*shift_) : y;
}

RecurrentBatchNorm::Folded RecurrentBatchNorm::folded() const {
    Shape shape{options_.shared ? 1 : steps_, features()};
    std::vector<double> factor, shift;
    for (std::int64_t step = 0; step < shape[0]; ++step)
        for (std::int64_t feature = 0; feature < features(); ++feature) {
            std::int64_t element = row_of(step) * features() + feature;
            double variance = running_variance().at(element);
            double deviation = variance > options_.least_variance ? std::sqrt(variance + epsilon()) : 1;
            factor.push_back(scale_.value().at(feature) / deviation);
            shift.push_back((shift_ ? shift_->value().at(feature) : 0) - running_mean().at(element) * factor.back());
        }
    return {Tensor::of<double>(shape, factor), Tensor::of<double>(shape, shift)};
}

void RecurrentBatchNorm::track_steps(const Moments& moments, const Steps& steps) {
    if (options_.shared) {
        for (std::int64_t step = 0; step < steps.count(); ++step)
            if (std::int64_t present = steps.present()[static_cast<std::size_t>(step)]; present > 1)
                track({row(moments.mean, step), row(moments.variance, step), Tensor(static_cast<double>(present))});
        return;
    }
    std::int64_t tracked = std::min(steps.count(), steps_ - steps.first());
    if (tracked <= 0) return;
    auto all = [&](Var statistic) {
        Var known = slice(statistic, 0, 0, tracked);
        return tracked == steps_ ? known : pad(known, {steps.first(), 0}, {steps_ - steps.first() - tracked, 0});
    };
    Tensor counts = Tensor::make<double>({steps_, 1}, [&](std::span<double> count) {
        std::ranges::fill(count, 0);
        std::copy_n(steps.present().begin(), tracked, count.begin() + steps.first());
    });
    track({all(moments.mean), all(moments.variance), counts});
}

Var RecurrentBatchNorm::normalize(Var x, const Steps& steps) {
    require(x.shape(), steps);
    Shape matrix{steps.count(), features()}, stretched{steps.count(), 1, features()};
    Var present;
    if (steps.mask()) present = reshape(steps.mask(), {steps.count(), steps.examples(), 1});
    Moments moments;
    if (needs_batch()) {
        moments = moments_of(x, present);
        track_steps({reshape(moments.mean, matrix), reshape(moments.variance, matrix)}, steps);
    }
    if (!normalizes_by_batch()) {
        moments = running_moments(x.tape(), steps);
        moments = {reshape(moments.mean, stretched), reshape(moments.variance, stretched)};
    }
    return apply(x, moments.mean, factor(moments.variance));
}

Var RecurrentBatchNorm::forward(Var x) {
    const Shape shape = x.shape();
    if (shape.size() != 3 || shape[2] != features() || shape[0] == 0)
        throw ShapeError(
            fmt::format("{}: needs [steps, examples, {}], got {}", layer_name, features(), to_string(shape)));
    Steps steps(x.tape(), shape[0], shape[1], {}, x.dtype());
    return normalize(x, steps);
}

void RecurrentBatchNorm::visit(Visitor& visitor) {
    visitor("weight", scale_);
    visitor("bias", shift_);
    Normalizer::visit(visitor);
}

std::string RecurrentBatchNorm::describe() const {
    std::string steps = options_.shared ? "shared by all steps" : fmt::format("{} steps", steps_);
    return fmt::format("{}({}, {}{}{})", layer_name, features(), steps, describe_statistics(),
                       shift_ ? "" : ", no shift");
}

RecurrentBatchNorm::Sequence::Sequence(RecurrentBatchNorm& layer, Tape& tape, const Steps& steps)
    : layer_(layer), steps_(steps) {
    if (layer.normalizes_by_batch()) return;
    Moments running = layer.running_moments(tape, steps);
    running_mean_ = running.mean;
    running_factor_ = layer.factor(running.variance);
}

Var RecurrentBatchNorm::Sequence::operator()(Var x) {
    layer_.require(x.shape(), steps_);
    std::int64_t step = step_++;
    Moments batch;
    if (layer_.needs_batch()) {
        batch = moments_of(x, steps_.mask() ? steps_.rows(steps_.mask(), step) : Var());
        means_.emplace_back(batch.mean);
        variances_.emplace_back(batch.variance);
    }
    if (layer_.normalizes_by_batch()) return layer_.apply(x, batch.mean, layer_.factor(batch.variance));
    return layer_.apply(x, row(running_mean_, step), row(running_factor_, step));
}

void RecurrentBatchNorm::Sequence::finish() {
    if (layer_.needs_batch()) layer_.track_steps({concatenate(means_, 0), concatenate(variances_, 0)}, steps_);
}

} // namespace cotape::nn

#include <cotape/nn/batch_norm.hpp>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {
namespace {

Tensor per_channel(const std::string& name, std::int64_t channels, double value) {
    if (channels < 1) throw ValueError(fmt::format("{}: needs at least one channel, got {}", name, channels));
    return Tensor::full({channels}, value);
}

/// A [C] state as it broadcasts against x: [1, C, 1, ...].
Var along_channels(Var state, const Shape& x) {
    Shape shape(x.size(), 1);
    shape[1] = x[1];
    return reshape(state, shape);
}

} // namespace

BatchNorm::BatchNorm(std::string name, std::size_t least_rank, std::size_t most_rank, std::int64_t channels,
                     const BatchNormOptions& options)
    : name_(std::move(name)), least_rank_(least_rank), most_rank_(most_rank), options_(options),
      running_mean_(per_channel(name_, channels, 0)), running_variance_(per_channel(name_, channels, 1)),
      batches_seen_(Tensor(0.0f)) {
    if (options.momentum && !(*options.momentum >= 0 && *options.momentum <= 1))
        throw ValueError(fmt::format("{}: momentum must be in [0, 1], got {}", name_, *options.momentum));
    if (!(options.epsilon >= 0)) throw ValueError(fmt::format("{}: epsilon must not be negative, got {}", name_, options.epsilon));
    if (!options.affine) return;
    scale_.emplace(per_channel(name_, channels, 1));
    shift_.emplace(per_channel(name_, channels, 0));
}

Var BatchNorm::forward(Var x) {
    bool by_mode = statistics_ == Statistics::by_mode;
    bool uses_batch = statistics_ == Statistics::batch || (by_mode && is_training());
    require_input(x.shape(), uses_batch);
    Tape& tape = x.tape();

    Var mean, variance;
    if (uses_batch) {
        mean = batch_mean(x);
        variance = batch_variance(x);
        if (update_ == Update::always || (update_ == Update::by_mode && is_training()))
            propose_running_statistics(x, mean, variance);
    } else {
        warn_once_if_untrained();
        mean = along_channels(tape.variable(running_mean_), x.shape());
        variance = along_channels(tape.variable(running_variance_), x.shape());
    }
    Var normalized = (x - mean) * rsqrt(variance + options_.epsilon);
    if (!options_.affine) return normalized;
    return along_channels(tape.variable(*scale_), x.shape()) * normalized +
           along_channels(tape.variable(*shift_), x.shape());
}

void BatchNorm::require_input(const Shape& shape, bool uses_batch) const {
    if (shape.size() < least_rank_ || shape.size() > most_rank_ || shape[1] != channels()) {
        std::string ranks = least_rank_ == most_rank_ ? fmt::format("{}", least_rank_)
                                                      : fmt::format("{} or {}", least_rank_, most_rank_);
        throw ShapeError(fmt::format("{}: needs rank {} with {} channels on axis 1, got {}", name_, ranks, channels(),
                                     to_string(shape)));
    }
    if (!uses_batch) return;
    std::int64_t values = element_count(shape) / channels();
    if (values == 0) throw ShapeError(fmt::format("{}: needs at least one example, got {}", name_, to_string(shape)));
    if (values == 1)
        throw ShapeError(fmt::format("{}: expected more than 1 value per channel when training, got input size {}",
                                     name_, to_string(shape)));
    if (!(options_.epsilon > 0))
        throw ValueError(fmt::format("{}: epsilon must be positive in training, got {}", name_, options_.epsilon));
}

/// Whether the batch with this mean is among those that lead to what the tape proposes now.
bool BatchNorm::has_proposed(Var mean) {
    std::erase_if(proposals_, [](const Proposal& proposal) { return !proposal.after.is_recorded(); });
    Var running = mean.tape().proposed(running_mean_);
    while (true) {
        auto last = std::ranges::find_if(proposals_, [&](const Proposal& p) { return is_same(p.after, running); });
        if (last == proposals_.end()) return false;
        if (is_same(last->batch, mean)) return true;
        running = last->before;
    }
}

void BatchNorm::propose_running_statistics(Var x, Var mean, Var variance) {
    if (has_proposed(mean)) return;
    Tape& tape = x.tape();
    Var before = tape.proposed(running_mean_);
    double n = static_cast<double>(element_count(x.shape())) / static_cast<double>(channels());
    Var batches = tape.proposed(batches_seen_) + 1;
    auto track = [&](const State& state, Var batch) {
        Var running = tape.proposed(state), latest = reshape(batch, {channels()});
        Var weight = options_.momentum ? tape.full({}, *options_.momentum, x.dtype()) : reciprocal(batches);
        tape.propose(state, (1 - weight) * running + weight * latest);
    };
    track(running_mean_, mean);
    track(running_variance_, variance * (n / (n - 1)));
    tape.propose(batches_seen_, batches);
    proposals_.push_back({before, mean, tape.proposed(running_mean_)});
}

void BatchNorm::warn_once_if_untrained() {
    if (warned_ || batches_seen() > 0) return;
    warned_ = true;
    std::fputs(fmt::format("cotape: {} evaluates before any training step: its running mean is 0 and its running "
                           "variance 1\n", name_).c_str(), stderr);
}

void BatchNorm::set_running_statistics(Tensor mean, Tensor variance) {
    const Type& required = running_mean_.type();
    std::string mismatch = fmt::format("{}: running statistics must be {}, got {} and {}", name_, to_string(required),
                                       to_string(mean.type()), to_string(variance.type()));
    if (mean.dtype() != required.dtype || variance.dtype() != required.dtype) throw DtypeError(mismatch);
    if (!(mean.shape() == required.shape) || !(variance.shape() == required.shape)) throw ShapeError(mismatch);
    std::span<const float> variances = variance.elements<float>();
    auto negative = std::ranges::find_if(variances, [](float value) { return !(value >= 0); });
    if (negative != variances.end())
        throw ValueError(fmt::format("{}: the running variance of channel {} must not be negative, got {}", name_,
                                     negative - variances.begin(), *negative));
    running_mean_.assign(std::move(mean));
    running_variance_.assign(std::move(variance));
    if (batches_seen() == 0) batches_seen_.assign(Tensor(1.0f));
}

void BatchNorm::visit(Visitor& visitor) {
    visitor("weight", scale_);
    visitor("bias", shift_);
    visitor("running_mean", running_mean_);
    visitor("running_var", running_variance_);
    visitor("num_batches_tracked", batches_seen_);
}

std::string BatchNorm::describe() const {
    std::string text = fmt::format("{}({}, epsilon {}, ", name_, channels(), options_.epsilon);
    text += options_.momentum ? fmt::format("momentum {} of the new value", *options_.momentum) : "plain average";
    text += ", running variance / (n - 1)";
    if (!options_.affine) text += ", not affine";
    if (statistics_ == Statistics::batch) text += ", always the batch's statistics";
    if (statistics_ == Statistics::population) text += ", always the running statistics";
    if (update_ == Update::always) text += ", always updated";
    if (update_ == Update::never) text += ", never updated";
    return text + ")";
}

} // namespace cotape::nn

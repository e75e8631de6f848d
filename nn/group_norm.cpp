#include <cotape/nn/group_norm.hpp>

#include <limits>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/along_channels.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {

GroupNorm::GroupNorm(std::int64_t groups, std::int64_t channels, const GroupNormOptions& options)
    : GroupNorm("GroupNorm", 2, std::numeric_limits<std::size_t>::max(), groups, channels, options) {}

GroupNorm::GroupNorm(std::string name, std::size_t least_rank, std::size_t most_rank, std::int64_t groups,
                     std::int64_t channels, const GroupNormOptions& options)
    : name_(std::move(name)), least_rank_(least_rank), most_rank_(most_rank), groups_(groups), channels_(channels),
      options_(options) {
    if (channels < 1) throw ValueError(fmt::format("{}: needs at least one channel, got {}", name_, channels));
    if (groups < 1 || channels % groups != 0)
        throw ValueError(fmt::format("{}: {} channels do not fall into {} groups", name_, channels, groups));
    if (!(options.epsilon >= 0))
        throw ValueError(fmt::format("{}: epsilon must not be negative, got {}", name_, options.epsilon));
    if (!options.affine) return;
    scale_.emplace(Tensor::full({channels}, 1));
    shift_.emplace(Tensor::full({channels}, 0));
}

Var GroupNorm::forward(Var x) {
    const Shape shape = x.shape();
    if (shape.size() < least_rank_ || shape.size() > most_rank_ || shape[1] != channels_) {
        std::string rank = fmt::format("{}{}", most_rank_ == least_rank_ ? "" : "at least ", least_rank_);
        throw ShapeError(fmt::format("{}: needs rank {} with {} channels on axis 1, got {}", name_, rank, channels_,
                                     to_string(shape)));
    }
    std::int64_t all_groups = shape[0] * groups_, values = channels_ / groups_;
    for (std::size_t axis = 2; axis < shape.size(); ++axis) values *= shape[axis];
    if (values < 2)
        throw ShapeError(
            fmt::format("{}: needs more than 1 value in a group, got input size {}", name_, to_string(shape)));

    // A batch norm of one example that has the groups of all examples as its channels.
    Var grouped = reshape(x, {1, all_groups, values});
    Var normalized = (grouped - batch_mean(grouped)) * rsqrt(batch_variance(grouped) + options_.epsilon);
    Var y = reshape(normalized, shape);
    if (!options_.affine) return y;
    Var scale = x.tape().variable(*scale_);
    require_dtype(scale, x.dtype());
    return along_channels(scale, shape) * y + along_channels(x.tape().variable(*shift_), shape);
}

void GroupNorm::visit(Visitor& visitor) {
    visitor("weight", scale_);
    visitor("bias", shift_);
}

std::string GroupNorm::describe() const {
    std::string groups = groups_ == channels_ && name_ != "GroupNorm" ? "" : fmt::format("{} groups of ", groups_);
    return fmt::format("{}({}{} channels, epsilon {}{})", name_, groups, channels_ / (groups.empty() ? 1 : groups_),
                       options_.epsilon, options_.affine ? "" : ", not affine");
}

} // namespace cotape::nn

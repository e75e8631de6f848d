#pragma once

#include <optional>
#include <string>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// How a group or instance norm normalises, with GroupNorm's defaults.
struct GroupNormOptions {
    /// Added to the variance before the square root; not negative.
    double epsilon = 1e-5;
    /// Whether the normalised values are scaled and shifted by learnt parameters, one of each for a channel.
    bool affine = true;
};

/// Group normalisation (Wu and He 2018) of [N, C, ...]: the channels fall into groups, and every group of every example
/// is normalised by its own mean and variance (divided by the count), over its channels and all pixels; the same in
/// training and evaluation. Throws ShapeError for another rank or channel count and for a group of a single value.
class GroupNorm : public Module {
  public:
    /// Throws ValueError unless the channels fall into the groups.
    GroupNorm(std::int64_t groups, std::int64_t channels, const GroupNormOptions& options = {});

    void visit(Visitor& visitor) override;
    std::string describe() const override;

  protected:
    /// Takes inputs of rank `least_rank` to `most_rank`; `name` is the layer's, as messages print it.
    GroupNorm(std::string name, std::size_t least_rank, std::size_t most_rank, std::int64_t groups,
              std::int64_t channels, const GroupNormOptions& options);

    Var forward(Var x) override;

  private:
    std::string name_;
    std::size_t least_rank_, most_rank_;
    std::int64_t groups_, channels_;
    GroupNormOptions options_;
    std::optional<Parameter> scale_, shift_;
};

/// Instance normalisation (Ulyanov et al. 2016) of [N, C, spatial...] with so many spatial axes: group normalisation
/// with a group for each channel, so that each feature map of each example is normalised by itself. Not affine unless
/// told so, as PyTorch's; without running statistics.
template <std::size_t spatial_axes>
class InstanceNorm : public GroupNorm {
  public:
    explicit InstanceNorm(std::int64_t channels, const GroupNormOptions& options = {.affine = false})
        : GroupNorm("InstanceNorm" + std::to_string(spatial_axes) + "d", spatial_axes + 2, spatial_axes + 2, channels,
                    channels, options) {}
};
using InstanceNorm1d = InstanceNorm<1>;
using InstanceNorm2d = InstanceNorm<2>;
using InstanceNorm3d = InstanceNorm<3>;

} // namespace cotape::nn

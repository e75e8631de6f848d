#pragma once

#include <optional>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

struct GroupNormOptions {
    /// Added to the variance before the square root.
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

/// Instance normalisation (Ulyanov et al. 2016): group normalisation with a group for each channel, so that each
/// feature map of each example is normalised by itself. Not affine unless told so, as PyTorch's; without running
/// statistics.
class InstanceNorm : public GroupNorm {
  protected:
    InstanceNorm(std::string name, std::size_t rank, std::int64_t channels, const GroupNormOptions& options)
        : GroupNorm(std::move(name), rank, rank, channels, channels, options) {}
};

/// Of [N, C, L].
class InstanceNorm1d : public InstanceNorm {
  public:
    explicit InstanceNorm1d(std::int64_t channels, const GroupNormOptions& options = {.affine = false})
        : InstanceNorm("InstanceNorm1d", 3, channels, options) {}
};

/// Of [N, C, H, W].
class InstanceNorm2d : public InstanceNorm {
  public:
    explicit InstanceNorm2d(std::int64_t channels, const GroupNormOptions& options = {.affine = false})
        : InstanceNorm("InstanceNorm2d", 4, channels, options) {}
};

/// Of [N, C, D, H, W].
class InstanceNorm3d : public InstanceNorm {
  public:
    explicit InstanceNorm3d(std::int64_t channels, const GroupNormOptions& options = {.affine = false})
        : InstanceNorm("InstanceNorm3d", 5, channels, options) {}
};

} // namespace cotape::nn

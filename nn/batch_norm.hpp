#pragma once

#include <optional>
#include <string>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// Which statistics normalise.
enum class Statistics {
    by_mode,    ///< the batch's in training, the running ones in evaluation
    batch,      ///< always the batch's
    population, ///< always the running ones: a frozen batch norm
};

/// Whether a forward pass proposes new running statistics. It can only where the batch's statistics are computed.
enum class Update {
    by_mode, ///< in training
    always,
    never,
};

struct BatchNormOptions {
    /// Added to the variance before the square root; positive in training.
    double epsilon = 1e-5;
    /// The weight of the *new* value in the running statistics (PyTorch's convention; ONNX's and oneDNN's momentum
    /// weighs the old one). Empty for the plain average over all batches seen.
    std::optional<double> momentum = 0.1;
    /// Whether the normalised values are scaled and shifted by learnt parameters.
    bool affine = true;
};

/// Batch normalisation (Ioffe and Szegedy 2015) over axis 1 of x, [N, C] or [N, C, ...]:
///
///     y = scale * (x - mean) / sqrt(variance + epsilon) + shift
///
/// composed of differentiable ops. In training `mean` and `variance` are the batch's, the variance divided by n; the
/// running statistics, [C], follow with the variance divided by n - 1, as PyTorch keeps them. A forward pass only proposes
/// them: they change when the tape is committed, once, however often the same batch passes the layer on that tape.
/// `scale` starts at 1 and `shift` at 0. The layer before needs no bias, and the activation comes after. Warns once, on
/// standard error, where it evaluates before it has seen any batch. In float32 the variance overflows where x is spread
/// over more than 1e19: the outputs are then `shift`, and finite-check mode names the batch_variance.
/// Throws ShapeError for another rank or channel count, and in training for one value per channel.
class BatchNorm : public Module {
  public:
    /// Which statistics to use, and whether to update them: two switches, each by the mode unless set.
    void use(Statistics statistics) { statistics_ = statistics; }
    void update(Update update) { update_ = update; }

    std::int64_t channels() const { return running_mean_.type().shape[0]; }
    const BatchNormOptions& options() const { return options_; }
    const Tensor& running_mean() const { return running_mean_.value(); }
    const Tensor& running_variance() const { return running_variance_.value(); }
    /// How many batches the running statistics hold.
    std::int64_t batches_seen() const { return static_cast<std::int64_t>(batches_seen_.value().item()); }
    /// Replaces the running statistics, each [C]. Throws ShapeError, DtypeError, or ValueError for a negative variance.
    void set_running_statistics(Tensor mean, Tensor variance);

    void visit(Visitor& visitor) override;
    std::string describe() const override;

  protected:
    /// Takes inputs of rank `least_rank` to `most_rank`; `name` is the layer's, as messages print it.
    BatchNorm(std::string name, std::size_t least_rank, std::size_t most_rank, std::int64_t channels,
              const BatchNormOptions& options);

    Var forward(Var x) override;

  private:
    /// A running mean proposed on a tape: from the one before it, and a batch's mean.
    struct Proposal {
        Var before, batch, after;
    };

    void require_input(const Shape& shape, bool uses_batch) const;
    bool has_proposed(Var mean);
    void propose_running_statistics(Var x, Var mean, Var variance);
    void warn_once_if_untrained();

    std::string name_;
    std::size_t least_rank_, most_rank_;
    BatchNormOptions options_;
    Statistics statistics_ = Statistics::by_mode;
    Update update_ = Update::by_mode;
    std::optional<Parameter> scale_, shift_;
    State running_mean_, running_variance_, batches_seen_;
    std::vector<Proposal> proposals_;
    bool warned_ = false;
};

/// Batch normalisation of [N, C] or [N, C, L].
class BatchNorm1d : public BatchNorm {
  public:
    explicit BatchNorm1d(std::int64_t channels, const BatchNormOptions& options = {})
        : BatchNorm("BatchNorm1d", 2, 3, channels, options) {}
};

/// Batch normalisation of images [N, C, H, W]: one mean and one variance per feature map, over the batch and all pixels.
class BatchNorm2d : public BatchNorm {
  public:
    explicit BatchNorm2d(std::int64_t channels, const BatchNormOptions& options = {})
        : BatchNorm("BatchNorm2d", 4, 4, channels, options) {}
};

/// Batch normalisation of volumes [N, C, D, H, W], per feature map as BatchNorm2d.
class BatchNorm3d : public BatchNorm {
  public:
    explicit BatchNorm3d(std::int64_t channels, const BatchNormOptions& options = {})
        : BatchNorm("BatchNorm3d", 5, 5, channels, options) {}
};

} // namespace cotape::nn

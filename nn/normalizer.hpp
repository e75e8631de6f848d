#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// Which statistics normalise.
enum class Statistics {
    by_mode,    ///< the batch's in training, the running ones in evaluation
    batch,      ///< always the batch's
    population, ///< always the running ones: a frozen normaliser
};

/// Whether a forward pass proposes new running statistics. It can only where the batch's statistics normalise.
enum class Update {
    by_mode, ///< in training
    always,
    never,
};

/// The statistics of one batch, as a forward pass recorded them.
struct BatchStatistics {
    /// As many elements as the running mean, in its order.
    Var mean;
    /// As many elements, divided by the count.
    Var variance;
    /// How many values each mean is of, float64: a scalar, or [steps, 1] where it differs from step to step. Where it
    /// is 0, as for a time step that the batch does not reach, mean and variance mean nothing.
    Tensor count;
};

/// What the normalisers share whose running statistics stand for the batch's in evaluation: the running mean and
/// variance, [features] or, for statistics per time step, [steps, features]; the number of batches they hold; and two
/// switches, which statistics to use and whether to update them. The running variance is the sample's (divided by n -
/// 1), as PyTorch keeps it. A forward pass only proposes new running statistics: they change when the tape is
/// committed, once, however often the same batch passes on that tape. Warns once, on standard error, where it evaluates
/// before it has seen any batch.
class Normalizer : public Module {
  public:
    void use(Statistics statistics) { statistics_ = statistics; }
    void update(Update update) { update_ = update; }
    Statistics uses() const { return statistics_; }
    Update updates() const { return update_; }

    double epsilon() const { return epsilon_; }
    /// The weight of the new value; empty for the plain average over all batches seen.
    const std::optional<double>& momentum() const { return momentum_; }
    const Tensor& running_mean() const { return running_mean_.value(); }
    const Tensor& running_variance() const { return running_variance_.value(); }
    /// How many batches the running statistics hold; the most that any time step holds. Counted in float32, so that it
    /// stands still at 2^24, about 17 million; so does the weight of a plain average then.
    std::int64_t batches_seen() const;
    /// How many each time step holds, [steps, 1]; a scalar where steps are not told apart.
    const Tensor& batch_counts() const { return batches_seen_.value(); }
    /// Replaces the running statistics. `batches`, of the form of batch_counts(), says how many batches they hold, and
    /// so what they weigh in a plain average from here on; where it is empty, as many as before, and at least one.
    /// Throws ShapeError, DtypeError, or ValueError for a negative variance or count.
    void set_running_statistics(Tensor mean, Tensor variance, Tensor batches = {});
    /// Whether the running statistics were set, so that they hold nothing of the mean 0 and the variance 1 that they
    /// start from.
    bool has_set_statistics() const { return set_; }

    /// Shows the running statistics; the parameters are the derived class's to show, before.
    void visit(Visitor& visitor) override;

  protected:
    /// `name` is the layer's, as messages print it; `shape` that of the running statistics. Throws ValueError for an
    /// epsilon that is negative, and for a momentum outside [0, 1].
    Normalizer(std::string name, const Shape& shape, double epsilon, std::optional<double> momentum);

    const std::string& name() const { return name_; }
    /// Whether the batch's statistics normalise; otherwise the running ones do.
    bool normalizes_by_batch() const;
    /// Whether a forward pass computes the batch's statistics: they normalise, or are measured.
    bool needs_batch() const { return normalizes_by_batch() || measured_; }
    /// Takes in the batch's statistics, once on each tape: proposes new running ones where these are to be updated. A
    /// time step with fewer than two values is left as it is.
    void track(const BatchStatistics& batch);
    /// The running mean and variance, to normalise with.
    std::pair<Var, Var> running_statistics(Tape& tape);
    /// The conventions in force and the switches that are set: ", epsilon 1e-05, momentum ...".
    std::string describe_statistics() const;

  private:
    friend class Measuring;
    /// A running mean proposed on a tape: from the one before it, and a batch's mean.
    struct Proposal {
        Var before, batch, after;
    };

    bool has_proposed(Var mean);
    void propose(const BatchStatistics& batch);

    std::string name_;
    double epsilon_;
    std::optional<double> momentum_;
    Statistics statistics_ = Statistics::by_mode;
    Update update_ = Update::by_mode;
    State running_mean_, running_variance_, batches_seen_;
    std::vector<Proposal> proposals_;
    std::vector<BatchStatistics>* measured_ = nullptr;
    bool warned_ = false, set_ = false;
};

/// The time step whose statistics stand for those of `step`, where `counts`, an element for each step, says how much
/// each holds: the last one up to `step` that holds any, or else the first one after it; -1 where none does.
std::int64_t reached_step(const Tensor& counts, std::int64_t step);

/// A normaliser of a model with its dotted path.
struct NamedNormalizer {
    std::string path;
    Normalizer* normalizer;
};

/// The normalisers of a model, itself included, in the order of `visit`; one that is shared stands under its first
/// path.
std::vector<NamedNormalizer> normalizers(Module& module);

/// While it lives, every forward pass through the normalisers of a module computes the batch's statistics, whichever
/// normalise, and notes them here. The module must outlive it, and must not move meanwhile.
class Measuring {
  public:
    explicit Measuring(Module& module);
    ~Measuring();
    Measuring(const Measuring&) = delete;
    Measuring& operator=(const Measuring&) = delete;

    /// A normaliser, and the batches that passed it since the last `clear`, each once.
    struct Measured {
        NamedNormalizer named;
        std::vector<BatchStatistics> batches;
    };
    const std::vector<Measured>& measured() const { return measured_; }
    void clear();

  private:
    std::vector<Measured> measured_;
    std::vector<std::vector<BatchStatistics>*> before_;
};

} // namespace cotape::nn

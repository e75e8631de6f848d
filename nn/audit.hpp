#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <cotape/nn/population_statistics.hpp>

namespace cotape::nn {

/// Why a normaliser evaluates badly, as far as its state tells.
enum class Fault {
    training_mode,      ///< it normalises with the batch's statistics: the model was not told to evaluate
    frozen,             ///< it was told not to follow the data, and its running statistics are not theirs
    too_few_batches,    ///< the values that the running statistics started from still weigh much
    wrong_momentum,     ///< the running statistics follow the last batch alone, or not at all
    distribution_shift, ///< the running statistics hold enough batches, but of other data than these
    small_variance,     ///< channels hardly vary: epsilon, not the data, decides how they are scaled
};

/// "training mode", "frozen", ...
const char* to_string(Fault fault);

/// One thing that is wrong with a normaliser.
struct Diagnosis {
    Fault fault;
    /// What was seen, and what to do about it: a sentence each.
    std::string cause, remedy;
};

/// One normaliser. Distances are root mean squares over its channels (and time steps), without those that hardly vary;
/// they are of the statistics that evaluation uses, so that a time step that no batch reached has another's.
struct NormalizerAudit {
    std::string path;
    std::int64_t batches_seen = 0;
    /// From the running mean to the exact one, in standard deviations.
    double mean_distance = 0;
    /// Of the logarithms of the running and the exact variance, epsilon added to both: 0.1 is about 10 %.
    double variance_distance = 0;
    /// Where the exact variance is below ten times epsilon, at every time step.
    std::vector<std::int64_t> small_variance_channels;
    std::vector<Diagnosis> diagnoses;
};

/// What audit() found.
struct AuditReport {
    /// In the order of nn::normalizers(model).
    std::vector<NormalizerAudit> normalizers;
    /// What the running statistics are compared with; apply() makes it the running statistics.
    PopulationStatistics population;
    /// Between the outputs with the batch's and with the running statistics: the root mean square of their difference,
    /// in standard deviations of the outputs with the batch's. Infinite where these do not vary but differ from the
    /// others, NaN where an output is not finite.
    double output_gap = 0;

    /// Whether nothing is wrong with any normaliser.
    bool is_healthy() const;
};

/// A table, a row for each normaliser; below it the diagnoses.
std::string to_string(const AuditReport& report);

/// Audits a model as it stands when it is about to be evaluated: gathers what audit() reports, batch by batch. The
/// model stays as it is, must outlive this, and must not move meanwhile.
class Auditor {
  public:
    explicit Auditor(Module& model) : model_(model), sweep_(model) {}

    /// Takes in the batch `x`, with which `forward` calls the model where it is given, as in PopulationSweep::add; it
    /// is called twice, with x as it is and in float64. Throws what PopulationSweep::add throws; nothing is taken in
    /// then.
    void add(const Tensor& x, const std::function<Var(Var)>& forward = nullptr);
    /// Throws ValueError where there was no batch.
    AuditReport report() const;

  private:
    double output_gap() const;

    Module& model_;
    PopulationSweep sweep_;
    /// Of the outputs with the batch's statistics: their count, mean, and squared distances from it; and of the gap.
    double count_ = 0, mean_ = 0, squares_ = 0, squared_gap_ = 0;
};

/// Compares the running statistics of all normalisers of `model` with the exact ones of `batches`, a range of tensors
/// or of data::Dataset, and the outputs with either; says what is wrong, and what to do. Call it on the model that is
/// to be evaluated, in the mode it is in, with batches of training data: with other data, a distribution shift is found
/// where they differ. Distances below 0.15 are never held against a normaliser, nor are those that the noise of running
/// estimates explains, for which the spread between the batches stands.
template <class Batches>
AuditReport audit(Module& model, const Batches& batches) {
    Auditor auditor(model);
    for (const auto& batch : batches) auditor.add(inputs_of(batch));
    return auditor.report();
}

} // namespace cotape::nn

#include <cotape/nn/audit_diagnosis.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace cotape::nn {
namespace {

/// Distances up to here are never held against a normaliser.
constexpr double tolerated = 0.15;
/// With a momentum above one half, hardly any noise is averaged out: from here on it shows.
constexpr double visible = 0.02, most_momentum = 0.5;
/// How many times the noise that is to be expected of running estimates is still taken for noise.
constexpr double most_noise = 3;
/// The most that the initial values may weigh once a running statistic is finished, and how soon momentum 0.1 has them
/// below it.
constexpr double most_initial_weight = 0.01, enough_batches = 44;
/// How far the weights of a net may move what is normalised in its first steps, in standard deviations.
constexpr double fast_start = 1;
constexpr double small_variances = 10; // epsilons

constexpr const char* apply_remedy = "set exact statistics with population_statistics(model, batches).apply(model)";

double squared(double x) { return x * x; }

/// Means and variances, element by element.
struct Estimates {
    std::vector<double> mean, variance;
};

/// Root mean squares over elements: of the distance of means, in standard deviations, and of that of the logarithms of
/// variances.
struct Distance {
    double mean = 0, variance = 0;

    /// Of both in one unit: a deviation is the root of a variance.
    double worst() const { return std::max(mean, variance / 2); }
};

/// A normaliser beside the exact statistics of the same data.
class Comparison {
  public:
    Comparison(const Normalizer& normalizer, const PopulationStatistics::Layer& layer)
        : normalizer_(normalizer), layer_(layer), features_(layer.mean.size() / layer.count.size()) {}

    /// The channels that hardly vary at any time step that something reached.
    std::vector<std::int64_t> channels_that_hardly_vary() const;
    /// From the exact statistics to those that evaluation uses, but for elements that hardly vary.
    Distance found() const;
    /// From the exact statistics to what the running ones are expected to be: in part still the values that they
    /// started from.
    Distance expected() const;
    /// From what the running statistics are expected to be to those that evaluation uses.
    Distance unexpected() const;
    /// How far noise alone moves running statistics, in standard deviations.
    double noise() const;
    /// The time step, among those that something reached now, that fewest batches reached before.
    std::int64_t rarest_step() const;
    double batches_at(std::int64_t step) const { return normalizer_.batch_counts().at(step); }
    /// How much of the running statistics are the values that they started from.
    double initial_weight(std::int64_t step) const;
    /// How many values each mean of a batch is of.
    double values() const { return layer_.values_in_batch; }
    bool is_per_step() const { return layer_.count.size() > 1; }

  private:
    bool counts(std::int64_t element) const {
        return layer_.count.at(element / features_) > 0 &&
               layer_.variance.at(element) > small_variances * normalizer_.epsilon();
    }
    /// The element that evaluation uses for `element`: a step that no batch reached takes another's.
    std::int64_t used(std::int64_t element) const {
        std::int64_t reached = reached_step(normalizer_.batch_counts(), element / features_);
        return reached < 0 ? element : reached * features_ + element % features_;
    }
    Estimates exact() const;
    Estimates running() const;
    Estimates prediction() const;
    Distance between(const Estimates& a, const Estimates& b) const;

    const Normalizer& normalizer_;
    const PopulationStatistics::Layer& layer_;
    std::int64_t features_;
};

std::vector<std::int64_t> Comparison::channels_that_hardly_vary() const {
    std::vector<std::int64_t> channels;
    for (std::int64_t c = 0; c < features_; ++c) {
        bool reached = false, varies = false;
        for (std::int64_t step = 0; step < layer_.count.size(); ++step) {
            reached = reached || layer_.count.at(step) > 0;
            varies = varies || counts(step * features_ + c);
        }
        if (reached && !varies) channels.push_back(c);
    }
    return channels;
}

Estimates Comparison::exact() const {
    Estimates estimates;
    for (std::int64_t i = 0; i < layer_.mean.size(); ++i) {
        estimates.mean.push_back(layer_.mean.at(i));
        estimates.variance.push_back(layer_.variance.at(i));
    }
    return estimates;
}

Estimates Comparison::running() const {
    Estimates estimates;
    for (std::int64_t i = 0; i < layer_.mean.size(); ++i) {
        estimates.mean.push_back(normalizer_.running_mean().at(used(i)));
        estimates.variance.push_back(normalizer_.running_variance().at(used(i)));
    }
    return estimates;
}

Estimates Comparison::prediction() const {
    Estimates estimates = exact();
    const Estimates in_use = running();
    for (std::int64_t i = 0; i < layer_.mean.size(); ++i) {
        auto element = static_cast<std::size_t>(i);
        double weight = initial_weight(i / features_);
        bool borrowed = used(i) != i; // from another step, and right for that one as far as one can tell
        estimates.mean[element] = borrowed ? in_use.mean[element] : (1 - weight) * estimates.mean[element];
        estimates.variance[element] =
            borrowed ? in_use.variance[element] : (1 - weight) * estimates.variance[element] + weight;
    }
    return estimates;
}

Distance Comparison::between(const Estimates& a, const Estimates& b) const {
    double means = 0, variances = 0, elements = 0, epsilon = normalizer_.epsilon();
    for (std::int64_t i = 0; i < layer_.mean.size(); ++i) {
        if (!counts(i)) continue;
        auto element = static_cast<std::size_t>(i);
        means += squared(a.mean[element] - b.mean[element]) / (layer_.variance.at(i) + epsilon);
        variances += squared(std::log((a.variance[element] + epsilon) / (b.variance[element] + epsilon)));
        ++elements;
    }
    if (elements == 0) return {};
    return {std::sqrt(means / elements), std::sqrt(variances / elements)};
}

Distance Comparison::found() const { return between(running(), exact()); }
Distance Comparison::expected() const { return between(prediction(), exact()); }
Distance Comparison::unexpected() const { return between(running(), prediction()); }

double Comparison::noise() const {
    const std::optional<double>& momentum = normalizer_.momentum();
    double of_one_batch = layer_.batch_spread.value_or(1 / std::sqrt(values()));
    double remaining =
        momentum ? *momentum / (2 - *momentum) : 1 / std::max(static_cast<double>(normalizer_.batches_seen()), 1.0);
    return of_one_batch * std::sqrt(remaining);
}

std::int64_t Comparison::rarest_step() const {
    std::int64_t rarest = -1;
    for (std::int64_t step = 0; step < layer_.count.size(); ++step)
        if (layer_.count.at(step) > 0 && (rarest < 0 || batches_at(step) < batches_at(rarest))) rarest = step;
    return std::max(rarest, std::int64_t{0});
}

double Comparison::initial_weight(std::int64_t step) const {
    double seen = batches_at(step);
    if (normalizer_.has_set_statistics()) return 0;
    if (!normalizer_.momentum()) return seen > 0 ? 0 : 1;
    return std::pow(1 - *normalizer_.momentum(), seen);
}

std::string off_by(const Distance& distance) {
    return fmt::format("the running mean is {:.2f} standard deviations off and the logarithm of the variance {:.2f}",
                       distance.mean, distance.variance);
}

Diagnosis frozen(const Comparison& comparison, const Normalizer& normalizer) {
    return {Fault::frozen,
            fmt::format("it is told {}, and {}",
                        normalizer.updates() == Update::never ? "never to update its running statistics"
                                                              : "always to use its running statistics",
                        off_by(comparison.found())),
            fmt::format("let it follow the mode while it trains (use and update by_mode), or {}", apply_remedy)};
}

/// Where the values that the running statistics started from explain what is found.
Diagnosis unfinished(const Comparison& comparison, const std::optional<double>& momentum) {
    std::int64_t step = comparison.rarest_step();
    double seen = comparison.batches_at(step), weight = 100 * comparison.initial_weight(step);
    std::string where = comparison.is_per_step() ? fmt::format(" at time step {}", step) : "";
    if (momentum && (*momentum == 0 || seen >= enough_batches))
        return {Fault::wrong_momentum,
                fmt::format("with momentum {} the initial values still weigh {:.3g} % after {} batches{}; {}",
                            *momentum, weight, seen, where, off_by(comparison.found())),
                fmt::format("train with a larger momentum (0.1), or {}", apply_remedy)};
    if (seen == 0)
        return {
            Fault::too_few_batches,
            fmt::format("no batch reached time step {} in training: those of another step stand for its statistics; "
                        "{}",
                        step, off_by(comparison.found())),
            fmt::format("train with sequences of this length, or {}", apply_remedy)};
    return {Fault::too_few_batches,
            fmt::format("the running statistics hold {} batches{}, and the initial values weigh {:.2g} %; {}", seen,
                        where, weight, off_by(comparison.found())),
            fmt::format("train longer, or {}", apply_remedy)};
}

std::string batches(std::int64_t count) { return fmt::format("{} {}", count, count == 1 ? "batch" : "batches"); }

/// Those that weigh about 95 % with a momentum.
std::string last_batches(double momentum) {
    auto count = static_cast<std::int64_t>(std::ceil(3 / momentum - 2));
    return count == 1 ? "the last batch" : "the last " + batches(count);
}

/// Where noise explains what is found.
Diagnosis noisy(const Comparison& comparison, const Normalizer& normalizer) {
    const std::optional<double>& momentum = normalizer.momentum();
    if (!momentum)
        return {Fault::too_few_batches,
                fmt::format("the running statistics hold {} of {:.0f} values; {}", batches(normalizer.batches_seen()),
                            comparison.values(), off_by(comparison.found())),
                fmt::format("train longer, or {}", apply_remedy)};
    std::string smaller =
        fmt::format("a momentum of {:.2g} (other libraries weigh the old value)", std::max(1 - *momentum, 0.1));
    return {Fault::wrong_momentum,
            fmt::format("momentum {} weighs the new value, so that {} of {:.0f} values all but make up the running "
                        "statistics; {}",
                        *momentum, last_batches(*momentum), comparison.values(), off_by(comparison.found())),
            fmt::format("train with {}, or {}",
                        *momentum > most_momentum ? smaller : "a smaller momentum or larger batches", apply_remedy)};
}

Diagnosis shifted(const Comparison& comparison, const Normalizer& normalizer) {
    return {Fault::distribution_shift,
            fmt::format("the running statistics hold {} batches, but not of data like these{}: {}",
                        normalizer.batches_seen(),
                        normalizer.momentum() ? "" : ", or, being a plain average, of the net as it was earlier",
                        off_by(comparison.found())),
            fmt::format("prepare these data as those of the training were, or {} with data like those to come",
                        apply_remedy)};
}

/// Why the running statistics are not the exact ones, if they are not.
std::vector<Diagnosis> diagnose_statistics(const Comparison& comparison, const Normalizer& normalizer) {
    double found = comparison.found().worst();
    const std::optional<double>& momentum = normalizer.momentum();
    if (normalizer.uses() == Statistics::population || normalizer.updates() == Update::never)
        return found > tolerated ? std::vector{frozen(comparison, normalizer)} : std::vector<Diagnosis>{};
    if (normalizer.batches_seen() == 0)
        return {{Fault::too_few_batches,
                 "no batch was ever committed: the running mean is 0 and the running variance 1",
                 fmt::format("train, with a commit after each step, or {}", apply_remedy)}};
    bool hasty = momentum && *momentum > most_momentum;
    if (found <= (hasty ? visible : tolerated)) return {};

    std::vector<Diagnosis> diagnoses;
    double expected = comparison.expected().worst(), unexpected = comparison.unexpected().worst();
    bool starts = comparison.initial_weight(comparison.rarest_step()) > most_initial_weight;
    bool is_unfinished = starts && (unexpected < fast_start || (expected > tolerated && unexpected < found));
    if (is_unfinished) diagnoses.push_back(unfinished(comparison, momentum));
    if (unexpected > (is_unfinished ? fast_start : tolerated + most_noise * comparison.noise()))
        diagnoses.push_back(shifted(comparison, normalizer));
    if (diagnoses.empty() && (hasty || unexpected <= most_noise * comparison.noise()))
        diagnoses.push_back(noisy(comparison, normalizer));
    return diagnoses;
}

} // namespace

NormalizerAudit audit_of(const Normalizer& normalizer, const PopulationStatistics::Layer& layer) {
    Comparison comparison(normalizer, layer);
    Distance found = comparison.found();
    NormalizerAudit audit{.path = layer.path,
                          .batches_seen = normalizer.batches_seen(),
                          .mean_distance = found.mean,
                          .variance_distance = found.variance,
                          .small_variance_channels = comparison.channels_that_hardly_vary(),
                          .diagnoses = {}};
    bool told = normalizer.uses() == Statistics::batch;
    if (told || (normalizer.uses() == Statistics::by_mode && normalizer.is_training()))
        audit.diagnoses.push_back(
            {Fault::training_mode, told ? "it is told always to use the batch's statistics" : "it is in training mode",
             told ? "use(Statistics::by_mode), and evaluate()"
                  : "call evaluate() on the model, or hold an nn::Evaluating, before it predicts"});
    std::ranges::copy(diagnose_statistics(comparison, normalizer), std::back_inserter(audit.diagnoses));
    const std::vector<std::int64_t>& small = audit.small_variance_channels;
    if (!small.empty())
        audit.diagnoses.push_back(
            {Fault::small_variance,
             fmt::format("{} {}, channel {} first, with a variance below ten times epsilon ({})", small.size(),
                         small.size() == 1 ? "channel" : "channels", small[0], normalizer.epsilon()),
             "look for inputs that are constant or units that are dead; scale them up, or lower epsilon"});
    return audit;
}

} // namespace cotape::nn

#include <cotape/nn/audit.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>

namespace cotape::nn {
namespace {

/// Distances up to here are the noise of running estimates with momentum 0.1 and batches of eight or more.
constexpr double noise = 0.15;
/// With a momentum above one half, hardly any noise is averaged out: from here on it shows.
constexpr double visible = 0.02, most_momentum = 0.5;
/// The most that the values it started from may weigh in a running statistic, and how soon momentum 0.1 has them below
/// it.
constexpr double most_initial_weight = 0.01;
constexpr std::int64_t enough_batches = 44;
constexpr double small_variances = 10; // epsilons

constexpr const char* apply_remedy = "set exact statistics with population_statistics(model, batches).apply(model)";

double squared(double x) { return x * x; }

/// The channels that hardly vary at any time step that something reached.
std::vector<std::int64_t> channels_that_hardly_vary(const PopulationStatistics::Layer& layer, double epsilon) {
    std::vector<std::int64_t> channels;
    std::int64_t steps = layer.count.size(), features = layer.mean.size() / steps;
    for (std::int64_t c = 0; c < features; ++c) {
        bool reached = false, varies = false;
        for (std::int64_t step = 0; step < steps; ++step) {
            if (layer.count.at(step) == 0) continue;
            reached = true;
            varies = varies || layer.variance.at(step * features + c) > small_variances * epsilon;
        }
        if (reached && !varies) channels.push_back(c);
    }
    return channels;
}

void measure_distances(NormalizerAudit& audit, const Normalizer& normalizer, const PopulationStatistics::Layer& layer) {
    std::int64_t features = layer.mean.size() / layer.count.size();
    double mean_sum = 0, variance_sum = 0, elements = 0, epsilon = normalizer.epsilon();
    for (std::int64_t i = 0; i < layer.mean.size(); ++i) {
        double exact = layer.variance.at(i), running = normalizer.running_variance().at(i);
        if (layer.count.at(i / features) == 0 || exact <= small_variances * epsilon) continue;
        mean_sum += squared(normalizer.running_mean().at(i) - layer.mean.at(i)) / (exact + epsilon);
        variance_sum += squared(std::log((running + epsilon) / (exact + epsilon)));
        ++elements;
    }
    if (elements == 0) return;
    audit.mean_distance = std::sqrt(mean_sum / elements);
    audit.variance_distance = std::sqrt(variance_sum / elements);
}

std::string off_by(const NormalizerAudit& audit) {
    return fmt::format("the running mean is {:.2f} standard deviations off and the logarithm of the variance {:.2f}",
                       audit.mean_distance, audit.variance_distance);
}

/// Why the running statistics are not the exact ones, if they are not.
std::vector<Diagnosis> diagnose_statistics(const NormalizerAudit& audit, const Normalizer& normalizer) {
    double distance = std::max(audit.mean_distance, audit.variance_distance / 2);
    const std::optional<double>& momentum = normalizer.momentum();
    std::int64_t seen = audit.batches_seen;
    if (normalizer.uses() == Statistics::population || normalizer.updates() == Update::never) {
        if (distance <= noise) return {};
        return {{Fault::frozen,
                 fmt::format("it is told {}, and {}",
                             normalizer.updates() == Update::never ? "never to update its running statistics"
                                                                   : "always to use its running statistics",
                             off_by(audit)),
                 fmt::format("let it follow the mode while it trains (use and update by_mode), or {}", apply_remedy)}};
    }
    if (seen == 0)
        return {{Fault::too_few_batches,
                 "no batch was ever committed: the running mean is 0 and the running variance 1",
                 fmt::format("train, with a commit after each step, or {}", apply_remedy)}};
    if (momentum && *momentum > most_momentum && distance > visible)
        return {
            {Fault::wrong_momentum,
             fmt::format("momentum {} weighs the new value, so that the last batches are nearly all that the running "
                         "statistics hold; {}",
                         *momentum, off_by(audit)),
             fmt::format("train with a momentum of {:.2g} (other libraries weigh the old value), or {}", std::max(1 - *momentum, 0.1),
                         apply_remedy)}};
    if (distance <= noise) return {};
    double initial_weight = momentum ? std::pow(1 - *momentum, static_cast<double>(seen)) : 0;
    if (initial_weight > most_initial_weight && seen >= enough_batches)
        return {{Fault::wrong_momentum,
                 fmt::format("with momentum {} the initial values still weigh {:.0f} % after {} batches; {}", *momentum,
                             100 * initial_weight, seen, off_by(audit)),
                 fmt::format("train with a larger momentum (0.1), or {}", apply_remedy)}};
    if (initial_weight > most_initial_weight || (!momentum && seen < enough_batches / 4))
        return {{Fault::too_few_batches,
                 fmt::format("the running statistics hold {} batches, and the initial values weigh {:.0f} %; {}", seen,
                             100 * initial_weight, off_by(audit)),
                 fmt::format("train longer, or {}", apply_remedy)}};
    return {{Fault::distribution_shift,
             fmt::format("the running statistics hold {} batches, but not of data like these: {}", seen, off_by(audit)),
             fmt::format("prepare these data as those of the training were, or {} with data like those to come",
                         apply_remedy)}};
}

std::vector<Diagnosis> diagnose(const NormalizerAudit& audit, const Normalizer& normalizer) {
    std::vector<Diagnosis> diagnoses = diagnose_statistics(audit, normalizer);
    bool told = normalizer.uses() == Statistics::batch;
    if (told || (normalizer.uses() == Statistics::by_mode && normalizer.is_training()))
        diagnoses.insert(diagnoses.begin(),
                         {Fault::training_mode,
                          told ? "it is told always to use the batch's statistics" : "it is in training mode",
                          told ? "use(Statistics::by_mode), and evaluate()"
                               : "call evaluate() on the model, or hold an nn::Evaluating, before it predicts"});
    const std::vector<std::int64_t>& small = audit.small_variance_channels;
    if (!small.empty())
        diagnoses.push_back(
            {Fault::small_variance,
             fmt::format("{} {}, channel {} first, with a variance below ten times epsilon ({})", small.size(),
                         small.size() == 1 ? "channel" : "channels", small[0], normalizer.epsilon()),
             "look for inputs that are constant or units that are dead; scale them up, or lower epsilon"});
    return diagnoses;
}

std::string name_of(const std::string& path) { return path.empty() ? "the model" : path; }

} // namespace

const char* to_string(Fault fault) {
    switch (fault) {
    case Fault::training_mode: return "training mode";
    case Fault::frozen: return "frozen";
    case Fault::too_few_batches: return "too few batches";
    case Fault::wrong_momentum: return "wrong momentum";
    case Fault::distribution_shift: return "distribution shift";
    case Fault::small_variance: return "small variance";
    }
    return "";
}

bool AuditReport::is_healthy() const {
    return std::ranges::all_of(normalizers, [](const NormalizerAudit& audit) { return audit.diagnoses.empty(); });
}

void Auditor::add(const Tensor& x) {
    Tensor by_running;
    {
        Evaluating evaluating(model_);
        Tape tape;
        by_running = model_(tape.constant(x)).value();
    }
    Tensor by_batch;
    sweep_.add(x, [&](Var input) {
        Var y = model_(input);
        by_batch = y.value();
        return y;
    });
    for (std::int64_t i = 0; i < by_batch.size(); ++i) {
        double y = by_batch.at(i), distance = y - mean_;
        mean_ += distance / ++count_;
        squares_ += distance * (y - mean_);
        squared_gap_ += squared(by_running.at(i) - y);
    }
}

AuditReport Auditor::report() const {
    AuditReport report{{}, sweep_.statistics(), 0};
    if (squared_gap_ > 0) report.output_gap = std::sqrt(squared_gap_ / squares_);
    std::vector<NamedNormalizer> present = normalizers(model_);
    for (std::size_t i = 0; i < present.size(); ++i) {
        const Normalizer& normalizer = *present[i].normalizer;
        const PopulationStatistics::Layer& layer = report.population.layers[i];
        NormalizerAudit audit;
        audit.path = present[i].path;
        audit.batches_seen = normalizer.batches_seen();
        audit.small_variance_channels = channels_that_hardly_vary(layer, normalizer.epsilon());
        measure_distances(audit, normalizer, layer);
        audit.diagnoses = diagnose(audit, normalizer);
        report.normalizers.push_back(std::move(audit));
    }
    return report;
}

std::string to_string(const AuditReport& report) {
    std::size_t widest = 10;
    for (const NormalizerAudit& audit : report.normalizers) widest = std::max(widest, name_of(audit.path).size());
    std::string text = fmt::format("{:<{}}  {:>7}  {:>8}  {:>12}  {:>14}  {}\n", "normaliser", widest, "batches",
                                   "mean off", "variance off", "small variance", "diagnosis");
    for (const NormalizerAudit& audit : report.normalizers) {
        std::string found;
        for (const Diagnosis& diagnosis : audit.diagnoses)
            found += fmt::format("{}{}", found.empty() ? "" : ", ", to_string(diagnosis.fault));
        text += fmt::format("{:<{}}  {:>7}  {:>8.3f}  {:>12.3f}  {:>14}  {}\n", name_of(audit.path), widest,
                            audit.batches_seen, audit.mean_distance, audit.variance_distance,
                            audit.small_variance_channels.size(), found.empty() ? "healthy" : found);
    }
    text += fmt::format("output gap between the modes: {:.3f} standard deviations\n", report.output_gap);
    for (const NormalizerAudit& audit : report.normalizers)
        for (const Diagnosis& diagnosis : audit.diagnoses)
            text += fmt::format("{}: {}: {}.\n    Remedy: {}.\n", name_of(audit.path), to_string(diagnosis.fault),
                                diagnosis.cause, diagnosis.remedy);
    return text;
}

} // namespace cotape::nn

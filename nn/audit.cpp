#include <cotape/nn/audit.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <cotape/core/tape.hpp>
#include <cotape/nn/audit_diagnosis.hpp>

namespace cotape::nn {
namespace {

/// Of a net in float32, against one in float64, relative to the outputs.
constexpr double rounding = 1e-5;

double squared(double x) { return x * x; }

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

void Auditor::add(const Tensor& x, const std::function<Var(Var)>& forward) {
    auto call = [&](Var input) { return forward ? forward(input) : model_(input); };
    Tensor by_running, by_batch;
    {
        Evaluating evaluating(model_);
        Tape tape;
        by_running = call(tape.constant(x)).value();
    }
    sweep_.add(x, [&](Var input) {
        Var y = call(input);
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

double Auditor::output_gap() const {
    double size = std::sqrt(squares_ + count_ * squared(mean_)), gap = std::sqrt(squared_gap_);
    return gap <= rounding * size ? 0 : gap / std::sqrt(squares_);
}

AuditReport Auditor::report() const {
    AuditReport report{{}, sweep_.statistics(), output_gap()};
    std::vector<NamedNormalizer> present = normalizers(model_);
    for (std::size_t i = 0; i < present.size(); ++i)
        report.normalizers.push_back(audit_of(*present[i].normalizer, report.population.layers[i]));
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
    text += "output gap between the modes: ";
    if (std::isnan(report.output_gap))
        text += "none to be had, for some outputs are not finite\n";
    else if (std::isinf(report.output_gap))
        text += "infinite, for with the batch's statistics the outputs do not vary\n";
    else
        text += fmt::format("{:.3f} standard deviations\n", report.output_gap);
    for (const NormalizerAudit& audit : report.normalizers)
        for (const Diagnosis& diagnosis : audit.diagnoses)
            text += fmt::format("{}: {}: {}.\n    Remedy: {}.\n", name_of(audit.path), to_string(diagnosis.fault),
                                diagnosis.cause, diagnosis.remedy);
    return text;
}

} // namespace cotape::nn

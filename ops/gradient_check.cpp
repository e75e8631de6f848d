#include <cotape/ops/gradient_check.hpp>

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/ops/finite_differences.hpp>
#include <cotape/ops/projections.hpp>

namespace cotape {
namespace {

/// Steps as shares of an input's scale: the next is tried where the one before meets a kink, a border or too much
/// curvature. Each is good to about noise / step.
constexpr int step_levels = 4;
double step_of(int level) { return std::ldexp(1, -8 - 6 * level); }

/// The sharpest claim "this derivative is right" that is worth making, as a share of the derivative's scale.
constexpr double needed_resolution = 1e-5;
constexpr double epsilon = 0x1p-52;

/// What a comparison at one place came to.
struct Outcome {
    Verdict verdict;
    std::string reason;
    double expected = 0, bound = 0, scale = 0;
};

class Check {
  public:
    Check(const CheckedFunction& function, const std::vector<Tensor>& inputs, const GradientCheckOptions& options)
        : projections_(function, inputs, options.seed), options_(options), levels_(inputs.size()) {
        for (const Tensor& input : inputs) element_count_ += input.size();
    }

    GradientCheckReport run() {
        if (auto reason = projections_.obstacle()) return {Verdict::inconclusive, *reason, {}, {}};
        for (int order = 1; order <= options_.order && report_.findings.empty(); ++order) check_order(order);
        return std::move(report_);
    }

  private:
    void check_order(int order) {
        point_ = projections_.derivatives(order);
        report_.orders.push_back({.order = order});
        auto line = [&](double t) { return projections_.moved_all(order, t); };
        double noise = rounding_noise(line, 0x1p-40);
        noise_ = 2 * epsilon * point_.scale + (std::isfinite(noise) ? 8 * noise : 0); // not so at a border
        double change = std::abs(line(step_of(0)) - point_.value);
        natural_scale_ = std::max({natural_scale_, point_.scale, std::isfinite(change) ? change : 0});
        for (std::size_t input = 0; input < levels_.size(); ++input) {
            if (projections_.size(input) == 0) continue;
            levels_[input] = 0;
            if (is_annihilated(order, input)) {
                note(Verdict::inconclusive,
                     fmt::format("the probe is annihilated: input {} does not move the output beyond rounding, so its "
                                 "derivatives are not tested", input));
                continue;
            }
            if (element_count_ <= options_.element_limit)
                for (std::int64_t i = 0; i < projections_.size(input); ++i) check_range(order, input, i, i + 1);
            else
                for (int i = 0; i < options_.directions; ++i) {
                    projections_.draw_directions();
                    check_range(order, input, 0, projections_.size(input));
                }
        }
        if (report_.findings.empty()) check_forward(order);
    }

    /// At order 1: neither the gradient nor a step in a random direction shows that the input matters.
    bool is_annihilated(int order, std::size_t input) const {
        if (order > 1) return false;
        std::int64_t count = projections_.size(input);
        double step = step_of(0) * projections_.scale(input);
        double change = projections_.moved(1, input, 0, count, step) - point_.value;
        double largest = point_.largest_gradient(input);
        return std::abs(change) <= 4 * noise_ && largest * step * std::sqrt(static_cast<double>(count)) <= 4 * noise_;
    }

    /// The derivative along the random signs of elements [begin, end), and where it is wrong, those of their halves.
    void check_range(int order, std::size_t input, std::int64_t begin, std::int64_t end) {
        double got = point_.along(input, projections_.direction(input), begin, end);
        Outcome outcome = compare(order, input, begin, end, got);
        GradientOrderSummary& summary = report_.orders.back();
        ++summary.comparisons;
        if (outcome.verdict == Verdict::inconclusive) {
            note(Verdict::inconclusive, fmt::format("order {}, input {}, {}: {}", order, input,
                                                    end == begin + 1 ? fmt::format("element {}", begin)
                                                                     : std::string("a random direction"),
                                                    outcome.reason));
            return;
        }
        double error = std::abs(got - outcome.expected);
        if (outcome.verdict == Verdict::pass) {
            if (outcome.bound > 0) {
                summary.worst_error = std::max(summary.worst_error, error / outcome.bound);
                summary.resolution = std::max(summary.resolution, outcome.bound / outcome.scale);
            }
            return;
        }
        std::size_t before = report_.findings.size();
        if (end > begin + 1 && before < largest_findings) {
            std::int64_t middle = begin + (end - begin) / 2;
            check_range(order, input, begin, middle);
            check_range(order, input, middle, end);
        }
        if (report_.findings.size() > before) return;
        double sign = projections_.direction(input)[static_cast<std::size_t>(begin)];
        if (end > begin + 1) sign = 1;
        add({GradientFinding::Mode::reverse, order, input, end == begin + 1 ? begin : -1, sign * got,
             sign * outcome.expected, error, outcome.bound});
    }

    Outcome compare(int order, std::size_t input, std::int64_t begin, std::int64_t end, double got) {
        double width = std::sqrt(static_cast<double>(end - begin));
        std::optional<DerivativeEstimate> refuted;
        Outcome last{Verdict::inconclusive, "", 0, 0, 0};
        for (int level = levels_[input]; level < step_levels; ++level) {
            double step = step_of(level) * projections_.scale(input) / width;
            auto line = [&](double t) { return projections_.moved(order, input, begin, end, t); };
            DerivativeEstimate estimate = differentiate(line, point_.value, step, noise_);
            if (!estimate.finite) {
                last.reason = "the function is not finite within the smallest step";
                continue;
            }
            double scale = std::max({point_.largest_gradient(input) * width, estimate.secant,
                                     natural_scale_ / projections_.scale(input) * width});
            estimate.bound += 64 * epsilon * scale;
            if (estimate.kink > needed_resolution * scale || estimate.bound > needed_resolution * scale) {
                last.reason = estimate.kink > needed_resolution * scale
                                  ? "a kink within the smallest step: the slopes on its two sides differ"
                                  : "differences do not converge: a kink within the smallest step, or too much rounding";
                continue;
            }
            levels_[input] = level;
            bool agrees = std::abs(got - estimate.value) <= estimate.bound;
            bool confirmed = refuted && std::abs(refuted->value - estimate.value) <= refuted->bound + estimate.bound;
            if (confirmed) return {Verdict::fail, "", refuted->value, refuted->bound, scale};
            if (agrees) return {Verdict::pass, "", estimate.value, estimate.bound, scale};
            refuted = estimate;
            last = {Verdict::fail, "", estimate.value, estimate.bound, scale};
        }
        return last;
    }

    /// The forward derivatives of all inputs together, and where they are wrong, of each alone.
    void check_forward(int order) {
        double rounding = noise_ / step_of(step_levels - 2);
        auto differs = [&](std::optional<std::size_t> only) -> std::optional<GradientFinding> {
            Projections::Forward forward = projections_.forward(order, only);
            if (!std::isfinite(forward.expected)) return std::nullopt; // at a border: differences cannot tell either
            double error = std::abs(forward.got - forward.expected);
            double bound = rounding + 0x1p-32 * forward.scale;
            ++report_.orders.back().comparisons;
            if (error <= bound) return std::nullopt;
            return GradientFinding{GradientFinding::Mode::forward, order, only.value_or(0), -1, forward.got,
                                   forward.expected, error, bound};
        };
        std::optional<GradientFinding> found = differs(std::nullopt);
        if (!found) return;
        std::size_t before = report_.findings.size();
        for (std::size_t input = 0; input < levels_.size(); ++input)
            if (auto of_input = differs(input)) add(*of_input);
        if (report_.findings.size() == before) add(*found);
    }

    void add(const GradientFinding& finding) {
        const char* what = finding.mode == GradientFinding::Mode::reverse ? "the gradient" : "jvp";
        note(Verdict::fail, fmt::format("{} is wrong at order {}, input {}", what, finding.order, finding.input));
        report_.findings.push_back(finding);
    }

    /// A failure outranks what could not be checked; of equals the first gives the reason.
    void note(Verdict verdict, std::string reason) {
        if (report_.verdict == Verdict::fail || report_.verdict == verdict) return;
        report_.verdict = verdict;
        report_.reason = std::move(reason);
    }

    static constexpr std::size_t largest_findings = 64;

    Projections projections_;
    GradientCheckOptions options_;
    std::int64_t element_count_ = 0;
    /// For each input the step that served last: kinks met once will be met again.
    std::vector<int> levels_;
    Projections::Point point_;
    double noise_ = 0;
    /// The largest terms and changes of the phis so far: the measure of what is small.
    double natural_scale_ = 0;
    GradientCheckReport report_;
};

} // namespace

GradientCheckReport check_gradients(const CheckedFunction& function, const std::vector<Tensor>& inputs,
                                    const GradientCheckOptions& options) {
    if (options.order < 1 || options.order > 4)
        throw ValueError(fmt::format("check_gradients: order must be in 1 to 4, got {}", options.order));
    if (inputs.empty()) throw ValueError("check_gradients: needs at least one input");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        auto inconclusive = [&](std::string what) {
            return GradientCheckReport{Verdict::inconclusive, fmt::format("input {} {}", i, what), {}, {}};
        };
        if (inputs[i].empty()) throw ValueError(fmt::format("check_gradients: input {} is empty", i));
        if (inputs[i].dtype() == Dtype::float32)
            return inconclusive("is float32: differences of it would drown in rounding; convert it to float64");
        if (inputs[i].dtype() == Dtype::int64) return inconclusive("is int64: it has no derivative");
        if (auto element = first_non_finite(inputs[i]))
            return inconclusive(fmt::format("is not finite: {} at element {}", inputs[i].at(*element), *element));
    }
    return Check(function, inputs, options).run();
}

const char* to_string(Verdict verdict) {
    switch (verdict) {
    case Verdict::pass: return "pass";
    case Verdict::fail: return "fail";
    case Verdict::inconclusive: break;
    }
    return "inconclusive";
}

std::string to_string(const GradientCheckReport& report) {
    constexpr std::size_t shown = 8;
    std::string text = fmt::format("gradient check: {}", to_string(report.verdict));
    if (!report.reason.empty()) text += fmt::format(": {}", report.reason);
    for (const GradientOrderSummary& order : report.orders)
        text += fmt::format("\n  order {}: {} comparisons, worst error {:.2g} of its bound, resolution {:.1g}",
                            order.order, order.comparisons, order.worst_error, order.resolution);
    for (std::size_t i = 0; i < report.findings.size() && i < shown; ++i) {
        const GradientFinding& finding = report.findings[i];
        text += fmt::format("\n  {}, order {}, input {}{}: got {:.17g}, expected {:.17g}, error {:.2g}, bound {:.2g}",
                            finding.mode == GradientFinding::Mode::reverse ? "gradient" : "jvp", finding.order,
                            finding.input,
                            finding.element < 0 ? ", a direction" : fmt::format(", element {}", finding.element),
                            finding.got, finding.expected, finding.error, finding.bound);
    }
    if (report.findings.size() > shown) text += fmt::format("\n  and {} more", report.findings.size() - shown);
    return text;
}

} // namespace cotape

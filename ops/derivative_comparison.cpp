#include <cotape/ops/derivative_comparison.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include <cotape/core/tape.hpp>
#include <cotape/ops/localization.hpp>
#include <cotape/ops/projections.hpp>
#include <cotape/ops/recorded_values.hpp>
#include <cotape/ops/slope_comparison.hpp>

namespace cotape {
namespace {

/// The error in an element of the Jacobian, as a share of the largest derivative, whose chance of being hidden is
/// stated.
constexpr double stated_error = 0.01;
constexpr double epsilon = 0x1p-52;

using Outcome = SlopeComparison;

class Check {
  public:
    Check(const CheckedFunction& function, const std::vector<Tensor>& inputs, const GradientCheckOptions& options)
        : projections_(function, inputs, options.seed), options_(options), order_(options.order.value_or(1)),
          levels_(inputs.size()), annihilated_(inputs.size()) {
        for (const Tensor& input : inputs) element_count_ += input.size();
    }

    GradientCheckReport run() {
        if (auto hindrance = projections_.hindrance(options_.input_names)) {
            note(Verdict::inconclusive, hindrance->reason, hindrance->obstacle);
            return std::move(report_);
        }
        check_outputs();
        if (report_.verdict == Verdict::fail && projections_.has_small_elements()) {
            // An element that steps of one size for all refute is looked at with steps of its own size.
            const GradientFinding& found = report_.findings.front();
            if (found.element >= 0) refuted_ = {found, output_};
            report_ = {};
            projections_.move_elements_by_their_own_scales();
            check_outputs();
        }
        if (report_.verdict == Verdict::fail && !projections_.repeats(report_.findings.front().order, point_)) {
            report_ = {Verdict::inconclusive, Projections::not_deterministic, Obstacle::not_deterministic, {}, {}, {}};
            return std::move(report_);
        }
        if (report_.verdict == Verdict::fail && options_.localize)
            report_.wrong_rules = wrong_rules(projections_, report_.findings.front());
        return std::move(report_);
    }

  private:
    void check_outputs() {
        if (!options_.full_jacobian) return check_orders();
        for (output_ = 0; output_ < projections_.output_size(); ++output_) {
            projections_.select_output(output_);
            check_orders();
            if (!report_.findings.empty()) return;
        }
    }

    void check_orders() {
        natural_scale_ = 0;
        for (int order = 1; order <= order_ && report_.findings.empty(); ++order) check_order(order);
    }

    void check_order(int order) {
        if (order > static_cast<int>(report_.orders.size())) report_.orders.push_back({.order = order});
        current_order_ = order;
        point_ = projections_.derivatives(order);
        auto line = [&](double t) { return projections_.moved_all(order, t); };
        double noise = rounding_noise(line);
        noise_ = 2 * epsilon * point_.scale + 2 * point_.rounding + std::numeric_limits<double>::min();
        if (std::isfinite(noise)) noise_ += 8 * noise; // not so at a border
        double change = std::abs(line(step_of(1)) - point_.value);
        if (order > 1) natural_scale_ *= projections_.tangent_share();
        natural_scale_ = std::max({natural_scale_, point_.scale, std::isfinite(change) ? change : 0});
        if (asks_for(DerivativeMode::reverse))
            for (std::size_t input = 0; input < levels_.size(); ++input) check_input(order, input);
        if (asks_for(DerivativeMode::reverse) && report_.findings.empty()) check_beside(order);
        if (refuted_ && refuted_->finding.order == order && refuted_->output == output_ && report_.findings.empty())
            check_refuted(refuted_->finding);
        if (!report_.findings.empty()) return;
        for (DerivativeMode mode : options_.modes)
            if (mode == DerivativeMode::forward ||
                (mode != DerivativeMode::reverse && (order > 1 || !asks_for(DerivativeMode::reverse))))
                check_nested(order, mode);
    }

    void check_input(int order, std::size_t input) {
        if (projections_.size(input) == 0) return;
        levels_[input] = 0;
        if (order == 1) annihilated_[input] = is_annihilated(input);
        if (annihilated_[input]) {
            if (order == 1 && !options_.full_jacobian)
                note(Verdict::inconclusive,
                     fmt::format("the probe is annihilated: {} does not move the output beyond rounding, so its "
                                 "derivatives are not tested", name_of(input)), Obstacle::annihilated);
            return;
        }
        if (element_count_ <= options_.element_limit || options_.full_jacobian)
            for (std::int64_t i = 0; i < projections_.size(input); ++i) {
                levels_[input] = 0; // where one element asks for a short step, another may be lost in rounding at it
                check_range(order, input, i, i + 1);
            }
        else
            for (std::size_t i = 0, before = report_.findings.size();
                 i < static_cast<std::size_t>(options_.directions) && report_.findings.size() == before; ++i) {
                projections_.draw_directions();
                check_range(order, input, 0, projections_.size(input));
            }
    }

    /// At order 1: neither the gradient nor a step in a random direction shows that the input matters.
    bool is_annihilated(std::size_t input) const {
        std::int64_t count = projections_.size(input);
        double step = step_of(1), change = projections_.moved(1, input, 0, count, step) - point_.value;
        double largest = step * std::sqrt(static_cast<double>(count)) * projections_.largest_slope(point_, input);
        return std::abs(change) <= 4 * noise_ && largest <= 4 * noise_;
    }

    /// The derivative along the random direction of elements [begin, end), and where it is the first to be wrong, of
    /// halves of them down to a single one.
    void check_range(int order, std::size_t input, std::int64_t begin, std::int64_t end) {
        ClaimedSlope slope = slope_along(order, input, begin, end);
        double got = slope.got, width = 1 / slope.length;
        Outcome outcome = compare(order, slope, levels_[input]);
        GradientOrderSummary& summary = current();
        if (outcome.verdict == Verdict::inconclusive) {
            ++summary.comparisons;
            note(Verdict::inconclusive,
                 fmt::format("order {}, {}, {}: {}", order, name_of(input),
                             end == begin + 1 ? fmt::format("element {}", begin) : std::string("a random direction"),
                             explanation(outcome.obstacle)), outcome.obstacle);
            return;
        }
        if (outcome.verdict == Verdict::pass && !options_.full_jacobian && outcome.scale > 0)
            summary.chance_of_missing = std::max(
                summary.chance_of_missing,
                std::min(1.0, 4 * outcome.bound / (stated_error * std::max(slope.natural, outcome.scale) / width)));
        if (summarize(outcome, got)) return;
        bool single = end == begin + 1;
        if (!single && report_.findings.empty()) { // one element serves as well as all
            std::int64_t middle = begin + (end - begin) / 2;
            check_range(order, input, begin, middle);
            if (report_.findings.empty()) check_range(order, input, middle, end);
            if (!report_.findings.empty()) return;
        }
        double unit = single ? projections_.element_size(input, begin) : 1;
        add({DerivativeMode::reverse, order, input, single ? begin : -1, got / unit, outcome.expected / unit,
             std::abs(got - outcome.expected) / unit, outcome.bound / unit});
    }

    /// The derivative along the random direction of elements [begin, end), or along a single one.
    ClaimedSlope slope_along(int order, std::size_t input, std::int64_t begin, std::int64_t end) const {
        double width = std::sqrt(static_cast<double>(end - begin));
        return {projections_.slope(point_, input, begin, end),
                [=, this](double t) { return projections_.moved_slope(order, input, begin, end, t); },
                [=, this](double t) { return projections_.moved(order, input, begin, end, t); }, 1 / width,
                std::max(projections_.largest_slope(point_, input), natural_scale_) * width, noise_};
    }

    /// An element that steps of one size for all refuted, and the output that showed it.
    struct Refuted {
        GradientFinding finding;
        std::int64_t output;
    };

    /// Steps of the element's own size acquit it only where they are sharp enough to have seen the error: what an
    /// element adds to the output may be less than the output's rounding.
    void check_refuted(const GradientFinding& finding) {
        int level = 0;
        ClaimedSlope slope = slope_along(finding.order, finding.input, finding.element, finding.element + 1);
        Outcome own = compare(finding.order, slope, level);
        double share = finding.error / std::max(std::abs(finding.got), std::abs(finding.expected));
        bool seen = own.bound < share * std::max(std::abs(slope.got), std::abs(own.expected));
        if (own.verdict == Verdict::fail) return add(finding);
        if (own.verdict == Verdict::inconclusive || seen) return;
        note(Verdict::inconclusive,
             fmt::format("order {}, {}, element {}: the derivative is wrong by steps of the largest element's size, "
                         "and rounding hides what steps of its own size change",
                         finding.order, name_of(finding.input), finding.element),
             Obstacle::rounding);
    }

    /// Counts a comparison; true where it passed.
    bool summarize(const Outcome& outcome, double got) {
        GradientOrderSummary& summary = current();
        ++summary.comparisons;
        summary.exact += outcome.exact;
        if (outcome.verdict != Verdict::pass) return false;
        if (outcome.bound > 0) {
            summary.worst_error = std::max(summary.worst_error, std::abs(got - outcome.expected) / outcome.bound);
            summary.resolution = std::max(summary.resolution, outcome.bound / outcome.scale);
        }
        return true;
    }

    /// Where numbers leave the range of float64, nothing is told.
    Outcome compare(int order, const ClaimedSlope& slope, int& level) {
        Outcome outcome = compare_slope(slope, level);
        bool suspicious = outcome.flat || slope.got == 0 || !std::isfinite(slope.got);
        if (outcome.verdict == Verdict::fail && suspicious && projections_.strains_range(order))
            return {.obstacle = Obstacle::out_of_range};
        return outcome;
    }

    /// The gradient at a random point beside the inputs: where factors are 0 at the inputs, a wrong rule may look
    /// right.
    void check_beside(int order) {
        Projections::Beside beside = projections_.derivatives_beside(order);
        if (!std::isfinite(beside.value)) return; // beyond the domain
        double share = projections_.tangent_share();
        auto every = [&](double t) { return projections_.moved_beside(order, {}, t / share); };
        double noise = 2 * epsilon * std::max(natural_scale_, std::abs(beside.value)) + 8 * rounding_noise(every);
        if (!std::isfinite(noise)) return;
        noise_ = std::max(noise_, noise); // values that are 0 at the inputs are exact there, and not here
        auto slope_of = [](const Projections::Beside& point, std::optional<std::size_t> only) {
            return only ? point.slopes.at(*only) : std::reduce(point.slopes.begin(), point.slopes.end());
        };
        auto compare_along = [&](std::optional<std::size_t> only) {
            int level = 0;
            auto line = [&](double t) { return projections_.moved_beside(order, only, t); };
            auto nearby = [&](double t) {
                Projections::Beside point = projections_.derivatives_beside(order, t);
                return std::isfinite(point.value) ? slope_of(point, only) : point.value;
            };
            double got = slope_of(beside, only);
            Outcome outcome = compare(order, {got, nearby, line, 1 / share, natural_scale_ * share, noise_}, level);
            if (outcome.verdict != Verdict::fail) return outcome;
            // Beside a pole the scale of the inputs says nothing of this point: it must be wrong by its own as well.
            level = 0;
            double own_scale = std::max(std::abs(got), std::abs(outcome.expected));
            return compare(order, {got, nearby, line, 1 / share, own_scale, noise_}, level);
        };
        auto add_wrong = [&](std::size_t input, double slope, const Outcome& outcome) {
            add({DerivativeMode::reverse, order, input, -1, slope, outcome.expected, std::abs(slope - outcome.expected),
                 outcome.bound});
        };
        Outcome all = compare_along({});
        if (all.verdict == Verdict::inconclusive || summarize(all, slope_of(beside, {}))) return;
        for (std::size_t input = 0; input < levels_.size(); ++input)
            if (Outcome one = compare_along(input); one.verdict == Verdict::fail)
                add_wrong(input, beside.slopes[input], one);
        if (report_.findings.empty()) add_wrong(0, slope_of(beside, {}), all);
    }

    /// Derivatives nested in another mode, of all inputs together, and where they are wrong, of each alone.
    void check_nested(int order, DerivativeMode mode) {
        if (auto found = differs(order, mode, std::nullopt)) {
            std::size_t before = report_.findings.size();
            for (std::size_t input = 0; input < levels_.size() && levels_.size() > 1; ++input)
                if (auto of_input = differs(order, mode, input)) add(*of_input);
            if (report_.findings.size() == before) add(*found);
        }
    }

    std::optional<GradientFinding> differs(int order, DerivativeMode mode, std::optional<std::size_t> only) {
        Projections::Nested got = projections_.nested(mode, order, only);
        Outcome outcome{.verdict = Verdict::pass, .scale = got.scale};
        if (asks_for(DerivativeMode::reverse)) {
            Projections::Nested reverse = projections_.nested(DerivativeMode::reverse, order, only);
            if (!std::isfinite(reverse.value)) return std::nullopt; // at a border: differences cannot tell either
            outcome.expected = reverse.value;
            outcome.scale = got.scale + reverse.scale;
            outcome.bound = noise_ / step_of(step_levels - 2) + 0x1p-32 * outcome.scale;
            double difference = got.value - reverse.value;
            if (!(std::abs(difference) <= outcome.bound)) outcome.verdict = Verdict::fail;
            auto nearby = [&](double t) {
                return projections_.nested(mode, order, only, t).value -
                       projections_.nested(DerivativeMode::reverse, order, only, t).value;
            };
            if (outcome.verdict == Verdict::fail && !std::isfinite(difference) && projections_.strains_range(order))
                outcome = {.obstacle = Obstacle::out_of_range};
            else if (outcome.verdict == Verdict::fail &&
                     is_unsteady(nearby, std::abs(difference) - outcome.bound))
                outcome = {.obstacle = Obstacle::rounding};
            ++current().comparisons;
        } else {
            auto line = [&](double t) { return projections_.moved_nested(mode, order, only, t); };
            int level = 0;
            double share = projections_.tangent_share();
            auto nearby = [&](double t) { return projections_.nested(mode, order, only, t).value; };
            outcome = compare(order, {got.value, nearby, line, 1 / share, natural_scale_ * share, noise_}, level);
            summarize(outcome, got.value);
        }
        if (outcome.verdict == Verdict::inconclusive)
            note(Verdict::inconclusive,
                 fmt::format("order {}, {}: {}", order, to_string(mode), explanation(outcome.obstacle)),
                 outcome.obstacle);
        if (outcome.verdict != Verdict::fail) return std::nullopt;
        return GradientFinding{mode, order, only.value_or(0), -1, got.value, outcome.expected,
                               std::abs(got.value - outcome.expected), outcome.bound};
    }

    GradientOrderSummary& current() { return report_.orders[static_cast<std::size_t>(current_order_ - 1)]; }

    bool asks_for(DerivativeMode mode) const {
        return std::ranges::find(options_.modes, mode) != options_.modes.end();
    }

    void add(const GradientFinding& finding) {
        std::string what = finding.mode == DerivativeMode::reverse ? "the gradient"
                           : finding.mode == DerivativeMode::forward ? "jvp" : to_string(finding.mode);
        note(Verdict::fail, fmt::format("{} is wrong at order {}, {}", what, finding.order, name_of(finding.input)));
        report_.findings.push_back(finding);
        if (finding.input < options_.input_names.size()) report_.findings.back().input_name = name_of(finding.input);
    }

    std::string name_of(std::size_t input) const { return name_of_input(options_.input_names, input); }

    /// A failure outranks what could not be checked; of equals the first gives the reason.
    void note(Verdict verdict, std::string reason, Obstacle obstacle = Obstacle::none) {
        if (report_.verdict == Verdict::fail || report_.verdict == verdict) return;
        report_.verdict = verdict;
        report_.reason = std::move(reason);
        report_.obstacle = obstacle;
    }

    Projections projections_;
    GradientCheckOptions options_;
    int order_, current_order_ = 1;
    std::int64_t output_ = 0; // the only element of the output that is looked at, for a full Jacobian
    std::int64_t element_count_ = 0;
    /// For each input the step that served last: kinks met once will be met again.
    std::vector<int> levels_;
    std::vector<bool> annihilated_;
    Projections::Point point_;
    double noise_ = 0;
    /// The largest terms and changes of the phis so far: the measure of what is small.
    double natural_scale_ = 0;
    GradientCheckReport report_;
    /// From before elements were moved by their own scales.
    std::optional<Refuted> refuted_;
};

} // namespace

GradientCheckReport compare_derivatives(const CheckedFunction& function, const std::vector<Tensor>& inputs,
                                        const GradientCheckOptions& options) {
    return Check(function, inputs, options).run();
}

} // namespace cotape

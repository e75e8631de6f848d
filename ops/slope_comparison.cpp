#include <cotape/ops/slope_comparison.hpp>

#include <algorithm>
#include <cmath>
#include <optional>

namespace cotape {
namespace {

/// The sharpest claim "this derivative is right" that is worth making, as a share of the derivative's scale.
constexpr double needed_resolution = 1e-5;
/// A derivative off by more bounds than this is wrong even where a smaller, less sharp step cannot tell.
constexpr double decisive = 8;
constexpr double epsilon = 0x1p-52;

/// Whether a smaller step agrees with `got`, and not with what larger steps said: these stepped over something.
bool vindicates(const DerivativeEstimate& smaller, const DerivativeEstimate& refuted, double got) {
    return smaller.finite && std::abs(got - smaller.value) <= smaller.bound &&
           std::abs(refuted.value - smaller.value) > refuted.bound + smaller.bound;
}

} // namespace

const char* explanation(Obstacle obstacle) {
    if (obstacle == Obstacle::outside_domain)
        return "the function is not finite within the smallest step: a border of its domain";
    if (obstacle == Obstacle::kink) return "a kink within the smallest step: the slopes on its two sides differ";
    if (obstacle == Obstacle::out_of_range) return "numbers on the way underflow or overflow float64";
    return "differences do not converge: a kink within the smallest step, or too much rounding";
}

double step_of(int level) { return level == 0 ? 0.5 : std::ldexp(1, -2 - 6 * level); }

bool is_unsteady(const ScalarFunction& nearby, double error) {
    if (!std::isfinite(error)) return false;
    auto [lowest, highest] = std::minmax({nearby(-0x1p-40), nearby(0x1p-40), nearby(0x1.8p-39)});
    return !(8 * (highest - lowest) < error);
}

SlopeComparison compare_slope(const ClaimedSlope& slope, int& level) {
    std::optional<DerivativeEstimate> refuted;
    SlopeComparison last;
    double at_zero = slope.line(0), got = slope.got;
    auto at_step = [&](double step) { return differentiate(slope.line, at_zero, step, slope.noise); };
    for (int next = level; next < step_levels + (refuted ? 1 : 0); ++next) { // the one beyond only confirms
        DerivativeEstimate estimate = at_step(step_of(next) * slope.length);
        if (next == 0 && !estimate.exact) continue;
        if (!estimate.finite) {
            if (!refuted) last.obstacle = Obstacle::outside_domain;
            continue;
        }
        double scale = std::max(slope.natural, estimate.secant);
        estimate.bound += 64 * epsilon * scale;
        bool kink = estimate.kink > needed_resolution * scale;
        bool sharp = !kink && estimate.bound <= needed_resolution * scale;
        bool agrees = std::abs(got - estimate.value) <= estimate.bound;
        if (refuted && !kink && std::abs(refuted->value - estimate.value) <= refuted->bound + estimate.bound &&
            (!agrees || (sharp && !(std::abs(got - refuted->value) <= decisive * refuted->bound)))) {
            // Where the function is as steep as `got` says, its values are used up within a short distance.
            double largest_change = refuted->secant * step_of(level) * slope.length;
            double smallest = step_of(step_levels - 1) * slope.length;
            double steep = step_of(1) * std::max(std::abs(at_zero), largest_change) / std::abs(got);
            if (vindicates(at_step(smallest), *refuted, got)) break;
            if (steep < smallest && vindicates(at_step(steep), *refuted, got)) break;
            if (is_unsteady(slope.nearby, std::abs(got - refuted->value) - refuted->bound)) break;
            return {Verdict::fail, Obstacle::none,  refuted->value, refuted->bound,
                    scale,         refuted->exact, refuted->value == 0 && refuted->secant == 0};
        }
        if (!sharp) {
            if (!refuted) last.obstacle = kink ? Obstacle::kink : Obstacle::rounding;
            continue;
        }
        if (next < step_levels) level = next;
        if (agrees) return {Verdict::pass, Obstacle::none, estimate.value, estimate.bound, scale, estimate.exact};
        refuted = estimate;
        last.obstacle = Obstacle::rounding; // a step alone may have stepped over something
    }
    return last;
}

} // namespace cotape

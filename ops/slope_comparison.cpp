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

/// Whether the smallest step agrees with `got`, and not with what larger steps said: these stepped over something.
bool vindicates(const DerivativeEstimate& smallest, const DerivativeEstimate& refuted, double got) {
    return smallest.finite && std::abs(got - smallest.value) <= smallest.bound &&
           std::abs(refuted.value - smallest.value) > refuted.bound + smallest.bound;
}

} // namespace

double step_of(int level) { return level == 0 ? 0.5 : std::ldexp(1, -2 - 6 * level); }

SlopeComparison compare_slope(const ScalarFunction& line, double length, double natural, double noise, double got,
                              int& level) {
    std::optional<DerivativeEstimate> refuted;
    SlopeComparison last;
    double at_zero = line(0);
    for (int next = level; next < step_levels + (refuted ? 1 : 0); ++next) { // the one beyond only confirms
        DerivativeEstimate estimate = differentiate(line, at_zero, step_of(next) * length, noise);
        if (next == 0 && !estimate.exact) continue;
        if (!estimate.finite) {
            if (!refuted) last.obstacle = Obstacle::outside_domain;
            continue;
        }
        double scale = std::max(natural, estimate.secant);
        estimate.bound += 64 * epsilon * scale;
        bool kink = estimate.kink > needed_resolution * scale;
        bool sharp = !kink && estimate.bound <= needed_resolution * scale;
        bool agrees = std::abs(got - estimate.value) <= estimate.bound;
        if (refuted && !kink && std::abs(refuted->value - estimate.value) <= refuted->bound + estimate.bound &&
            (!agrees || (sharp && !(std::abs(got - refuted->value) <= decisive * refuted->bound)))) {
            if (vindicates(differentiate(line, at_zero, step_of(step_levels - 1) * length, noise), *refuted, got)) break;
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

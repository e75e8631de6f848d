#pragma once

#include <cotape/ops/finite_differences.hpp>
#include <cotape/ops/gradient_check.hpp>

namespace cotape {

/// Steps as shares of an input's scale: the next is tried where the one before meets a kink, a border or too much
/// curvature. The first is for functions quadratic in the input, whose differences are exact. Each is good to about
/// noise / step.
constexpr int step_levels = 5;
double step_of(int level);

/// What comparing a derivative with differences came to.
struct SlopeComparison {
    Verdict verdict = Verdict::inconclusive;
    Obstacle obstacle = Obstacle::none;
    double expected = 0, bound = 0, scale = 0;
    bool exact = false;
    /// Whether the function did not change at any step.
    bool flat = false;
};

/// What kept compare_slope, or the range of float64, from telling, in words.
const char* explanation(Obstacle obstacle);

/// A derivative, and the function whose slope it should be.
struct ClaimedSlope {
    double got;
    /// `got` as it is when all inputs are moved by a share of their size.
    ScalarFunction nearby;
    /// The function, which varies over distances of about `length`, with slopes of about `natural`, and whose values
    /// are off by about `noise`.
    ScalarFunction line;
    double length, natural, noise;
};

/// Compares `slope.got` with the slope of `slope.line` at 0. `level` is the step to begin with, and then the one that
/// served. A derivative fails where two steps refute it, or where one refutes it clearly and another agrees with that
/// one; one step alone proves nothing, as it may step over something. It does not fail where a smaller step bears it
/// out, or where it is unsteady.
SlopeComparison compare_slope(const ClaimedSlope& slope, int& level);

/// Whether numbers computed at almost the same inputs differ so much that one may be off by `error`.
bool is_unsteady(const ScalarFunction& nearby, double error);

} // namespace cotape

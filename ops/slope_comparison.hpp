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

/// Compares `got` with the slope of `line` at 0, which varies over distances of about `length`, whose slopes are about
/// `natural`, and whose values are off by about `noise`. `level` is the step to begin with, and then the one that
/// served. A derivative fails where two steps refute it, or where one refutes it clearly and another agrees with that
/// one; one step alone proves nothing, as it may step over something.
SlopeComparison compare_slope(const ScalarFunction& line, double length, double natural, double noise, double got,
                              int& level);

} // namespace cotape

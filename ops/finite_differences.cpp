#include <cotape/ops/finite_differences.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace cotape {
namespace {

constexpr int steps = 4;
constexpr double epsilon = 0x1p-52;
using Table = std::array<double, steps>;

struct Limit {
    double value;
    double bound;
};

/// The limit at step 0 of values at `step`, step/2, ... whose error is a series in step^first, step^(first + 2), ...;
/// `noise` is the error of a value at step 1, which grows as 1/step.
Limit extrapolate(Table row, double step, double noise, int first) {
    Limit best{row[0], std::numeric_limits<double>::infinity()};
    Table column = row;
    for (int level = 1; level < steps; ++level) {
        double factor = std::ldexp(1, first + 2 * (level - 1));
        Table next{};
        for (int i = level; i < steps; ++i) {
            auto at = static_cast<std::size_t>(i);
            next[at] = column[at] + (column[at] - column[at - 1]) / (factor - 1);
            double truncation = std::max(std::abs(next[at] - column[at]), std::abs(next[at] - column[at - 1]));
            // The extrapolation's weights, times the noise at their steps, add up to less than 4 times that at the
            // last.
            double rounding = 4 * noise / std::ldexp(step, -i);
            if (2 * truncation + rounding < best.bound) best = {next[at], 2 * truncation + rounding};
        }
        column = next;
    }
    return best;
}

/// Whether slopes and bends at `step`, step/2, ... are those of a polynomial of degree 2: the slopes all equal, the
/// bends as large as their steps, but for what `noise` explains.
bool is_quadratic(const Table& slopes, const Table& bends, double step, double noise) {
    for (int i = 1; i < steps; ++i) {
        auto at = static_cast<std::size_t>(i);
        double h = std::ldexp(step, -i);
        if (std::abs(slopes[at] - slopes[0]) > 2 * noise / h) return false;
        if (std::abs(bends[at] - std::ldexp(bends[0], -i)) > 8 * noise / h) return false;
    }
    return true;
}

/// From differences of values `spacing` apart, of orders `first_level` to 4: smooth functions have none.
double noise_at(const ScalarFunction& function, double spacing, int first_level) {
    constexpr int points = 9;
    std::array<double, points> differences{};
    for (int i = 0; i < points; ++i) differences[static_cast<std::size_t>(i)] = function((i - points / 2) * spacing);
    double largest = 0, normal = 1;
    for (int level = 1; level <= 4; ++level) {
        double squares = 0;
        for (int i = 0; i < points - level; ++i) {
            auto at = static_cast<std::size_t>(i);
            differences[at] = differences[at + 1] - differences[at];
            squares += differences[at] * differences[at];
        }
        normal *= level / (2.0 * (2 * level - 1)); // (level!)^2 / (2 level)!: what one value's variance grew by
        if (level >= first_level) largest = std::max(largest, std::sqrt(normal * squares / (points - level)));
    }
    return largest;
}

} // namespace

DerivativeEstimate differentiate(const ScalarFunction& function, double at_zero, double step, double noise) {
    Table slopes{}, bends{};
    DerivativeEstimate estimate;
    double largest = std::abs(at_zero);
    for (int i = 0; i < steps; ++i) {
        double h = std::ldexp(step, -i), above = function(h), below = function(-h);
        if (!std::isfinite(above) || !std::isfinite(below)) return {.finite = false};
        largest = std::max({largest, std::abs(above), std::abs(below)});
        slopes[static_cast<std::size_t>(i)] = (above - below) / (2 * h);
        bends[static_cast<std::size_t>(i)] = (above - at_zero - (at_zero - below)) / h;
        estimate.secant = std::max({estimate.secant, std::abs(above - at_zero) / h, std::abs(below - at_zero) / h});
    }
    noise += 8 * epsilon * (largest - std::abs(at_zero)); // larger values are rounded more coarsely
    if (is_quadratic(slopes, bends, step, noise)) {
        estimate.value = slopes[0];
        estimate.bound = 4 * noise / step;
        estimate.exact = true;
        return estimate;
    }
    Limit slope = extrapolate(slopes, step, noise, 2), bend = extrapolate(bends, step, 4 * noise, 1);
    estimate.value = slope.value;
    estimate.bound = slope.bound;
    estimate.kink = std::max(0.0, std::abs(bend.value) - bend.bound);
    return estimate;
}

double rounding_noise(const ScalarFunction& function) {
    double noise = noise_at(function, 0x1p-40, 2);
    // Where large terms cancel, so short a step may move none of them by a rounding.
    for (double spacing = 0x1p-34; noise == 0 && spacing <= 0x1p-16; spacing *= 64)
        noise = noise_at(function, spacing, 4);
    return noise;
}

} // namespace cotape

#pragma once

#include <functional>

namespace cotape {

/// A function of one number, looked at near 0.
using ScalarFunction = std::function<double(double)>;

/// What finite differences say of the derivative of a function at 0.
struct DerivativeEstimate {
    double value = 0;
    /// A bound on the error of `value`: what the extrapolation table leaves open, plus rounding.
    double bound = 0;
    /// How much the slope differs between the two sides, beyond what its own error explains: not 0 at a kink.
    double kink = 0;
    /// The largest slope of a secant through 0 that was met.
    double secant = 0;
    /// True where all steps agree within rounding, as they do for a polynomial of degree 2: the differences are exact
    /// then.
    bool exact = false;
    /// False where the function is not finite at some step; nothing else is known then.
    bool finite = true;
};

/// The derivative at 0 by central differences at `step`, step/2, step/4 and step/8, extrapolated to 0 (Richardson).
/// Each value of the function is off by about `noise`; `at_zero` is its value at 0.
DerivativeEstimate differentiate(const ScalarFunction& function, double at_zero, double step, double noise);

/// The size of the rounding noise of a function's values, from differences over points so close that a smooth function
/// is a straight line there (Moré and Wild 2011, "Estimating computational noise"). Points are 2^-40 apart, and
/// further, up to 2^-16, where no value moves.
double rounding_noise(const ScalarFunction& function);

} // namespace cotape

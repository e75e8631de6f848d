#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

Var tanh(Operand x);
/// 1 / (1 + exp(-x)), without overflow.
Var sigmoid(Operand x);
/// log(1 + exp(x)), without overflow.
Var softplus(Operand x);
/// max(x, 0); NaN propagates; the derivative at 0 is 0.
Var relu(Operand x);
/// x where positive, `slope` times x elsewhere; the derivative at 0 is the slope.
Var leaky_relu(Operand x, double slope = 0.01);

/// How gelu takes the normal distribution function, with PyTorch's names.
enum class GeluApproximation {
    none, ///< exact, by erf
    tanh, ///< (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, which is off by at most 5e-4
};
struct GeluOptions {
    GeluApproximation approximate = GeluApproximation::none;
};
/// x times the normal distribution function of x. Hendrycks and Gimpel 2016.
Var gelu(Operand x, const GeluOptions& options = {});

/// The error function.
Var erf(Operand x);

} // namespace cotape

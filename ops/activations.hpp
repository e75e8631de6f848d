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
/// x times the normal distribution function of x (the exact form, with erf). Hendrycks and Gimpel 2016.
Var gelu(Operand x);
/// The error function.
Var erf(Operand x);

} // namespace cotape

#include <cotape/ops/activations.hpp>

#include <cmath>
#include <numbers>

#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>

namespace cotape {
namespace {

const Op tanh_op = elementwise(
    "tanh", [](auto x) { return std::tanh(x); },
    [](Var y, Var g, Var) { return g * (1 - square(y)); });

const Op sigmoid_op = elementwise(
    "sigmoid",
    [](auto x) {
        auto e = std::exp(-std::abs(x));
        return (x < 0 ? e : 1) / (1 + e);
    },
    [](Var y, Var g, Var) { return g * (y * (1 - y)); });

const Op softplus_op = elementwise(
    "softplus", [](auto x) { return (x > 0 ? x : x < 0 ? 0 : x) + std::log1p(std::exp(-std::abs(x))); },
    [](Var, Var g, Var x) { return g * sigmoid(x); });

const Op relu_op = elementwise(
    "relu", [](auto x) { return x <= 0 ? 0 : x; },
    [](Var y, Var g, Var) { return where(y, g, 0); });

const Op erf_op = elementwise(
    "erf", [](auto x) { return std::erf(x); },
    [](Var, Var g, Var x) { return g * (2 * std::numbers::inv_sqrtpi * exp(-square(x))); });

} // namespace

Var tanh(Operand x) { return record(tanh_op, {x}); }
Var sigmoid(Operand x) { return record(sigmoid_op, {x}); }
Var softplus(Operand x) { return record(softplus_op, {x}); }
Var relu(Operand x) { return record(relu_op, {x}); }
Var erf(Operand x) { return record(erf_op, {x}); }

Var leaky_relu(Operand x, double slope) {
    LineScope line(x);
    return where(greater(x, 0), x, slope * x);
}

Var gelu(Operand x) {
    LineScope line(x);
    return 0.5 * x * (1 + erf(x * (std::numbers::sqrt2 / 2)));
}

} // namespace cotape

#include <cotape/ops/activations.hpp>

#include <cmath>
#include <numbers>

#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/vector_math.hpp>

namespace cotape {
namespace {

constexpr int transcendental = 10;

const Op tanh_op = with_cost(transcendental, elementwise(
    "tanh", [](auto x) { return vector_math::tanh(x); },
    [](Var y, Var g, Var) { return g * (1 - square(y)); }));

const Op sigmoid_op = with_cost(transcendental, elementwise(
    "sigmoid", [](auto x) { return vector_math::sigmoid(x); },
    [](Var y, Var g, Var) { return g * (y * (1 - y)); }));

const Op softplus_op = with_cost(transcendental, elementwise(
    "softplus", [](auto x) { return vector_math::softplus(x); },
    [](Var, Var g, Var x) { return g * sigmoid(x); }));

const Op relu_op = elementwise(
    "relu", [](auto x) { return x <= 0 ? 0 : x; },
    [](Var y, Var g, Var) { return where(y, g, 0); });

const Op erf_op = with_cost(transcendental, elementwise(
    "erf", [](auto x) { return std::erf(x); },
    [](Var, Var g, Var x) { return g * (2 * std::numbers::inv_sqrtpi * exp(-square(x))); }));

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

Var gelu(Operand x, const GeluOptions& options) {
    LineScope line(x);
    if (options.approximate == GeluApproximation::none) return 0.5 * x * (1 + erf(x * (std::numbers::sqrt2 / 2)));
    constexpr double slope = 2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi; // twice sqrt(2 / pi)
    return x * sigmoid(slope * x * (1 + 0.044715 * square(x))); // (1 + tanh(u)) / 2 = sigmoid(2 u), without cancelling
}

} // namespace cotape

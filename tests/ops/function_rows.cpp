#include <cmath>
#include <numbers>

#include <cotape/ops/activations.hpp>
#include <cotape/ops/exponential.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// A function of one argument, on six elements of its domain.
OpRow row(std::string op, Var (*function)(Operand), Domain domain, double (*reference)(double),
          std::string variant = "") {
    return {std::move(op), std::move(variant), [function](const Vars& x) { return function(x[0]); },
            {{{2, 3}, std::move(domain)}}, elementwise_reference(reference)};
}

/// The integral of 2 / sqrt(pi) exp(-t^2) from 0 to x, by Simpson's rule.
double integrated_erf(double x) {
    constexpr int intervals = 2000;
    double width = x / intervals, sum = 0;
    for (int i = 0; i <= intervals; ++i) {
        double t = i * width, weight = i == 0 || i == intervals ? 1 : i % 2 ? 4 : 2;
        sum += weight * std::exp(-t * t);
    }
    return 2 / std::sqrt(std::numbers::pi) * sum * width / 3;
}

} // namespace

std::vector<OpRow> function_rows() {
    return {
        row("exp", exp, between(-2, 2), [](double x) { return std::pow(std::numbers::e, x); }),
        row("log", log, between(0.3, 3), [](double x) { return std::log2(x) * std::numbers::ln2; }),
        row("log1p", log1p, between(-0.6, 2), [](double x) { return std::log(1 + x); }),
        row("log1p", log1p, between(-1e-9, 1e-9), [](double x) { return x - x * x / 2; }, "small arguments"),
        row("expm1", expm1, between(-2, 2), [](double x) { return std::exp(x) - 1; }),
        row("expm1", expm1, between(-1e-9, 1e-9), [](double x) { return x + x * x / 2; }, "small arguments"),
        row("tanh", tanh, between(-2, 2), [](double x) { return std::sinh(x) / std::cosh(x); }),
        row("sigmoid", sigmoid, between(-3, 3), [](double x) { return 1 / (1 + std::exp(-x)); }),
        row("sigmoid", sigmoid, distinct(-40, 40), [](double x) { return 0.5 + 0.5 * std::tanh(x / 2); }, "far out"),
        row("softplus", softplus, between(-3, 3), [](double x) { return std::log(1 + std::exp(x)); }),
        row("softplus", softplus, distinct(-800, 800), [](double x) { return x > 0 ? x : std::exp(x); }, "far out"),
        row("relu", relu, away_from_zero(), [](double x) { return std::fmax(x, 0); }),
        {"leaky_relu", "", [](const Vars& x) { return leaky_relu(x[0]); }, {{{6}, away_from_zero()}},
         elementwise_reference([](double x) { return x > 0 ? x : x / 100; })},
        {"leaky_relu", "a slope of its own", [](const Vars& x) { return leaky_relu(x[0], 0.25); },
         {{{6}, away_from_zero()}}, elementwise_reference([](double x) { return x > 0 ? x : x / 4; })},
        {"gelu", "", [](const Vars& x) { return gelu(x[0]); }, {{{2, 3}, between(-3, 3)}},
         elementwise_reference([](double x) { return x * std::erfc(-x / std::numbers::sqrt2) / 2; })},
        {"gelu", "by tanh", [](const Vars& x) { return gelu(x[0], {.approximate = GeluApproximation::tanh}); },
         {{{2, 3}, between(-3, 3)}}, elementwise_reference([](double x) {
             return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
         })},
        row("erf", erf, between(-2, 2), integrated_erf),
    };
}

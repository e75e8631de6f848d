#include <cotape/ops/exponential.hpp>

#include <cmath>

#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>

namespace cotape {
namespace {

const Op exp_op = elementwise(
    "exp", [](auto x) { return std::exp(x); },
    [](Var y, Var g, Var) { return g * y; });

const Op log_op = elementwise(
    "log", [](auto x) { return std::log(x); },
    [](Var, Var g, Var x) { return g / x; });

const Op log1p_op = elementwise(
    "log1p", [](auto x) { return std::log1p(x); },
    [](Var, Var g, Var x) { return g / (1 + x); });

const Op expm1_op = elementwise(
    "expm1", [](auto x) { return std::expm1(x); },
    [](Var, Var g, Var x) { return g * exp(x); });

} // namespace

Var exp(Operand x) { return record(exp_op, {x}); }
Var log(Operand x) { return record(log_op, {x}); }
Var log1p(Operand x) { return record(log1p_op, {x}); }
Var expm1(Operand x) { return record(expm1_op, {x}); }

} // namespace cotape

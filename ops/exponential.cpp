#include <cotape/ops/exponential.hpp>

#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/vector_math.hpp>

namespace cotape {
namespace {

constexpr int transcendental = 10;

const Op exp_op = with_cost(transcendental, elementwise(
    "exp", [](auto x) { return vector_math::exp(x); },
    [](Var y, Var g, Var) { return g * y; }));

const Op log_op = with_cost(transcendental, elementwise(
    "log", [](auto x) { return vector_math::log(x); },
    [](Var, Var g, Var x) { return g / x; }));

const Op log1p_op = with_cost(transcendental, elementwise(
    "log1p", [](auto x) { return vector_math::log1p(x); },
    [](Var, Var g, Var x) { return g / (1 + x); }));

const Op expm1_op = with_cost(transcendental, elementwise(
    "expm1", [](auto x) { return vector_math::expm1(x); },
    [](Var, Var g, Var x) { return g * exp(x); }));

} // namespace

Var exp(Operand x) { return record(exp_op, {x}); }
Var log(Operand x) { return record(log_op, {x}); }
Var log1p(Operand x) { return record(log1p_op, {x}); }
Var expm1(Operand x) { return record(expm1_op, {x}); }

} // namespace cotape

#include <cotape/ops/comparisons.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>

namespace cotape {
namespace {

template <class Predicate>
Op comparison(const char* name, Predicate) {
    return elementwise(
        name, [](auto a, auto b) { return Predicate()(a, b) ? 1 : 0; }, no_derivative, no_derivative);
}

const Op equal_op = comparison("equal", [](auto a, auto b) { return a == b; });
const Op not_equal_op = comparison("not_equal", [](auto a, auto b) { return a != b; });
const Op less_op = comparison("less", [](auto a, auto b) { return a < b; });
const Op less_equal_op = comparison("less_equal", [](auto a, auto b) { return a <= b; });
const Op greater_op = comparison("greater", [](auto a, auto b) { return a > b; });
const Op greater_equal_op = comparison("greater_equal", [](auto a, auto b) { return a >= b; });

const Op where_op = elementwise(
    "where", [](auto condition, auto a, auto b) { return condition != 0 ? a : b; },
    no_derivative,
    [](Var, Var g, Var condition, Var, Var) { return where(condition, g, 0); },
    [](Var, Var g, Var condition, Var, Var) { return where(condition, 0, g); });

/// The share of the cotangent that goes to an operand: all of it, unless it lost or tied.
Var share(Var g, Var lost, Var tied) { return where(tied, 0.5 * g, where(lost, 0, g)); }

const Op maximum_op = elementwise(
    "maximum", [](auto a, auto b) { return a > b || a != a ? a : b; },
    [](Var, Var g, Var a, Var b) { return share(g, less(a, b), equal(a, b)); },
    [](Var, Var g, Var a, Var b) { return share(g, greater(a, b), equal(a, b)); });

const Op minimum_op = elementwise(
    "minimum", [](auto a, auto b) { return a < b || a != a ? a : b; },
    [](Var, Var g, Var a, Var b) { return share(g, greater(a, b), equal(a, b)); },
    [](Var, Var g, Var a, Var b) { return share(g, less(a, b), equal(a, b)); });

} // namespace

Var equal(Operand a, Operand b) { return record(equal_op, {a, b}); }
Var not_equal(Operand a, Operand b) { return record(not_equal_op, {a, b}); }
Var less(Operand a, Operand b) { return record(less_op, {a, b}); }
Var less_equal(Operand a, Operand b) { return record(less_equal_op, {a, b}); }
Var greater(Operand a, Operand b) { return record(greater_op, {a, b}); }
Var greater_equal(Operand a, Operand b) { return record(greater_equal_op, {a, b}); }
Var where(Operand condition, Operand a, Operand b) { return record(where_op, {condition, a, b}); }
Var maximum(Operand a, Operand b) { return record(maximum_op, {a, b}); }
Var minimum(Operand a, Operand b) { return record(minimum_op, {a, b}); }

Var clamp(Operand x, double low, double high) {
    if (!(low <= high)) throw ValueError(fmt::format("clamp: needs low <= high, got {} and {}", low, high));
    LineScope line(x);
    return where(less(x, low), low, where(greater(x, high), high, x));
}

} // namespace cotape

#include <cotape/ops/arithmetic.hpp>

#include <cmath>
#include <limits>

#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/products.hpp>

namespace cotape {

const Op multiply_op = with_arithmetic(Arithmetic::multiply, elementwise(
    "multiply", [](auto a, auto b) { return a * b; },
    [](Var, Var g, Var, Var b) { return g * b; },
    [](Var, Var g, Var a, Var) { return g * a; }));

const Op negate_op = elementwise(
    "negate", [](auto x) { return -x; },
    [](Var, Var g, Var) { return -g; });

namespace {

const Op add_op = with_arithmetic(Arithmetic::add, elementwise(
    "add", [](auto a, auto b) { return a + b; },
    [](Var, Var g, Var, Var) { return g; },
    [](Var, Var g, Var, Var) { return g; }));

const Op subtract_op = with_arithmetic(Arithmetic::subtract, elementwise(
    "subtract", [](auto a, auto b) { return a - b; },
    [](Var, Var g, Var, Var) { return g; },
    [](Var, Var g, Var, Var) { return -g; }));

const Op divide_op = elementwise(
    "divide", [](auto a, auto b) { return a / b; },
    [](Var, Var g, Var, Var b) { return g / b; },
    [](Var y, Var g, Var, Var b) { return -g * y / b; });

const Op square_op = elementwise(
    "square", [](auto x) { return x * x; },
    [](Var, Var g, Var x) { return g * (2 * x); });

const Op reciprocal_op = elementwise(
    "reciprocal", [](auto x) { return 1 / x; },
    [](Var y, Var g, Var) { return -g * square(y); });

const Op sqrt_op = elementwise(
    "sqrt", [](auto x) { return std::sqrt(x); },
    [](Var y, Var g, Var) { return g / (2 * y); });

const Op rsqrt_op = elementwise(
    "rsqrt", [](auto x) { return 1 / std::sqrt(x); },
    [](Var y, Var g, Var) { return g * (-0.5 * y * square(y)); });

const Op sign_op = elementwise(
    "sign", [](auto x) { return x > 0 ? 1 : x < 0 ? -1 : 0; },
    no_derivative);

const Op abs_op = elementwise(
    "abs", [](auto x) { return std::abs(x); },
    [](Var, Var g, Var x) { return g * record(sign_op, {x}); });

const Op pow_op =
    with_cost(10, elementwise(
                      "pow", [](auto x, auto exponent) { return std::pow(x, exponent); },
                      [](Var, Var g, Var x, Var exponent) {
                          double largest = x.dtype() == Dtype::float32 ? std::numeric_limits<float>::max()
                                                                       : std::numeric_limits<double>::max();
                          // Where 0 / x or 0 / x^2, of the orders that follow, would not be 0.
                          Var constant = equal(exponent, 0) * (1 - less_equal(square(reciprocal(x)), largest));
                          return g * where(constant, 0, exponent * pow(where(constant, 1, x), exponent - 1));
                      },
                      [](Var y, Var g, Var x, Var exponent) {
                          Var flat = equal(x, 0) * greater_equal(exponent, 0);
                          return g * where(flat, 0, y * log(where(flat, 1, x)));
                      }));

} // namespace

Var operator+(Operand a, Operand b) { return record(add_op, {a, b}); }
Var operator-(Operand a, Operand b) { return record(subtract_op, {a, b}); }
Var operator*(Operand a, Operand b) { return record(multiply_op, {a, b}); }
Var operator/(Operand a, Operand b) { return record(divide_op, {a, b}); }
Var operator-(Operand x) { return record(negate_op, {x}); }
Var square(Operand x) { return record(square_op, {x}); }
Var reciprocal(Operand x) { return record(reciprocal_op, {x}); }
Var sqrt(Operand x) { return record(sqrt_op, {x}); }
Var rsqrt(Operand x) { return record(rsqrt_op, {x}); }
Var abs(Operand x) { return record(abs_op, {x}); }
Var pow(Operand x, Operand exponent) { return record(pow_op, {x, exponent}); }

} // namespace cotape

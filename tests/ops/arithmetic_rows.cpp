#include <cmath>

#include <cotape/ops/arithmetic.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

double add(double a, double b) { return a + b; }
double subtract(double a, double b) { return a - b; }
double multiply(double a, double b) { return a * b; }
double divide(double a, double b) { return a / b; }

Var add_vars(const Vars& x) { return x[0] + x[1]; }
Var subtract_vars(const Vars& x) { return x[0] - x[1]; }
Var multiply_vars(const Vars& x) { return x[0] * x[1]; }
Var divide_vars(const Vars& x) { return x[0] / x[1]; }
Var pow_vars(const Vars& x) { return pow(x[0], x[1]); }

} // namespace

std::vector<OpRow> arithmetic_rows() {
    Domain nonzero = away_from_zero();
    auto pow_reference = elementwise_reference([](double a, double b) { return std::pow(a, b); });
    return {
        {"operator+", "equal shapes", add_vars, {{{2, 3}}, {{2, 3}}}, elementwise_reference(add)},
        {"operator+", "a row on a matrix", add_vars, {{{2, 3}}, {{3}}}, elementwise_reference(add)},
        {"operator+", "(1, M) and (N, 1)", add_vars, {{{1, 3}}, {{2, 1}}}, elementwise_reference(add)},
        {"operator+", "a scalar and a matrix", add_vars, {{{}}, {{2, 2}}}, elementwise_reference(add)},
        {"operator+", "a number", [](const Vars& x) { return x[0] + 3; }, {{{3}}},
         elementwise_reference([](double x) { return x + 3; })},
        {"operator+", "twice the same", [](const Vars& x) { return x[0] + x[0]; }, {{{3}}},
         elementwise_reference([](double x) { return 2 * x; })},
        {"operator+", "no elements", add_vars, {{{0, 3}}, {{1, 3}}}, elementwise_reference(add)},
        {"operator-", "equal shapes", subtract_vars, {{{2, 3}}, {{2, 3}}}, elementwise_reference(subtract)},
        {"operator-", "(N, 1) and (1, M)", subtract_vars, {{{3, 1}}, {{1, 2}}}, elementwise_reference(subtract)},
        {"operator-", "a matrix and a batch of them", subtract_vars, {{{2, 2}}, {{3, 1, 2}}},
         elementwise_reference(subtract)},
        {"operator-", "from a number", [](const Vars& x) { return 1 - x[0]; }, {{{3}}},
         elementwise_reference([](double x) { return 1 - x; })},
        {"operator-", "unary", [](const Vars& x) { return -x[0]; }, {{{2, 2}}},
         elementwise_reference([](double x) { return -x; })},
        {"operator-", "unary, a scalar", [](const Vars& x) { return -x[0]; }, {{{}}},
         elementwise_reference([](double x) { return -x; })},
        {"operator*", "equal shapes", multiply_vars, {{{2, 3}}, {{2, 3}}}, elementwise_reference(multiply)},
        {"operator*", "(N, 1) and (1, M)", multiply_vars, {{{2, 1}}, {{1, 3}}}, elementwise_reference(multiply)},
        {"operator*", "(1, M) and (N, 1)", multiply_vars, {{{1, 3}}, {{2, 1}}}, elementwise_reference(multiply)},
        {"operator*", "channels of a feature map", multiply_vars, {{{2, 2, 3}}, {{1, 2, 1}}},
         elementwise_reference(multiply)},
        {"operator*", "twice the same", [](const Vars& x) { return x[0] * x[0]; }, {{{3}}},
         elementwise_reference([](double x) { return x * x; })},
        {"operator/", "equal shapes", divide_vars, {{{4}}, {{4}, nonzero}}, elementwise_reference(divide)},
        {"operator/", "(N, 1) and (1, M)", divide_vars, {{{2, 1}}, {{1, 3}, nonzero}}, elementwise_reference(divide)},
        {"operator/", "a matrix by a scalar", divide_vars, {{{2, 2}}, {{}, nonzero}}, elementwise_reference(divide)},
        {"operator/", "of a number", [](const Vars& x) { return 2 / x[0]; }, {{{4}, nonzero}},
         elementwise_reference([](double x) { return 2 / x; })},
        {"square", "", [](const Vars& x) { return square(x[0]); }, {{{2, 2}}},
         elementwise_reference([](double x) { return x * x; })},
        {"reciprocal", "", [](const Vars& x) { return reciprocal(x[0]); }, {{{4}, nonzero}},
         elementwise_reference([](double x) { return 1 / x; })},
        {"sqrt", "", [](const Vars& x) { return sqrt(x[0]); }, {{{4}, between(0.3, 3)}},
         elementwise_reference([](double x) { return std::sqrt(x); })},
        {"rsqrt", "", [](const Vars& x) { return rsqrt(x[0]); }, {{{4}, between(0.3, 3)}},
         elementwise_reference([](double x) { return 1 / std::sqrt(x); })},
        {"abs", "", [](const Vars& x) { return abs(x[0]); }, {{{6}, nonzero}},
         elementwise_reference([](double x) { return std::fabs(x); })},
        {"pow", "positive base", pow_vars, {{{2, 3}, between(0.3, 2)}, {{2, 3}, between(-2, 3)}}, pow_reference},
        {"pow", "(N, 1) and (1, M)", pow_vars, {{{2, 1}, between(0.3, 2)}, {{1, 2}, between(-2, 3)}}, pow_reference},
        {"pow", "exponent 0 as a variable", pow_vars,
         {{{3}, between(0.3, 2)}, {{3}, given({0, 1, 2})}}, pow_reference},
        {"pow", "whole number, negative bases", [](const Vars& x) { return pow(x[0], 3); }, {{{4}, nonzero}},
         elementwise_reference([](double x) { return x * x * x; })},
        {"pow", "squares at 0", [](const Vars& x) { return pow(x[0], 2); }, {{{3}, given({0, 1, -1})}},
         elementwise_reference([](double x) { return x * x; })},
        {"pow", "a negative exponent", [](const Vars& x) { return pow(x[0], -1.5); }, {{{3}, between(0.3, 2)}},
         elementwise_reference([](double x) { return 1 / (x * std::sqrt(x)); })},
        {"pow", "of a number", [](const Vars& x) { return pow(2, x[0]); }, {{{3}}},
         elementwise_reference([](double x) { return std::exp2(x); })},
    };
}

#include <cmath>

#include <cotape/ops/comparisons.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// A comparison of vectors that tie, are ordered one way, and the other; it has no derivative.
OpRow row(std::string op, Var (*function)(Operand, Operand), double (*reference)(double, double)) {
    return {std::move(op), "", [function](const Vars& x) { return function(x[0], x[1]); },
            {{{3, 1}, given({1, 2, 3}), false}, {{1, 2}, given({2, 3}), false}}, elementwise_reference(reference)};
}

} // namespace

std::vector<OpRow> comparison_rows() {
    auto choose = elementwise_reference([](double c, double a, double b) { return c != 0 ? a : b; });
    auto larger = elementwise_reference([](double a, double b) { return std::fmax(a, b); });
    auto smaller = elementwise_reference([](double a, double b) { return std::fmin(a, b); });
    auto maximum_vars = [](const Vars& x) { return maximum(x[0], x[1]); };
    auto minimum_vars = [](const Vars& x) { return minimum(x[0], x[1]); };
    auto where_vars = [](const Vars& x) { return where(x[0], x[1], x[2]); };
    return {
        row("equal", equal, [](double a, double b) { return a == b ? 1.0 : 0.0; }),
        row("not_equal", not_equal, [](double a, double b) { return a == b ? 0.0 : 1.0; }),
        row("less", less, [](double a, double b) { return a < b ? 1.0 : 0.0; }),
        row("less_equal", less_equal, [](double a, double b) { return a > b ? 0.0 : 1.0; }),
        row("greater", greater, [](double a, double b) { return a > b ? 1.0 : 0.0; }),
        row("greater_equal", greater_equal, [](double a, double b) { return a < b ? 0.0 : 1.0; }),
        {"where", "equal shapes", where_vars, {{{4}, given({1, 0, -2, 0}), false}, {{4}}, {{4}}}, choose},
        {"where", "broadcast against each other", where_vars, {{{2, 1}, given({0, 1}), false}, {{1, 3}}, {{}}}, choose},
        {"where", "a number", [](const Vars& x) { return where(x[0], x[1], -1); },
         {{{4}, given({1, 0, 1, 0}), false}, {{4}}},
         elementwise_reference([](double c, double a) { return c != 0 ? a : -1; })},
        {"maximum", "", maximum_vars, {{{6}, distinct(-1, 1)}, {{6}, distinct(-0.93, 1.07)}}, larger},
        {"maximum", "(N, 1) and (1, M)", maximum_vars, {{{3, 1}, distinct()}, {{1, 2}, distinct(-0.5, 0.5)}},
         larger},
        {"minimum", "", minimum_vars, {{{6}, distinct(-1, 1)}, {{6}, distinct(-0.93, 1.07)}}, smaller},
        {"minimum", "(1, M) and (N, 1)", minimum_vars, {{{1, 2}, distinct(-0.5, 0.5)}, {{3, 1}, distinct()}},
         smaller},
        {"clamp", "", [](const Vars& x) { return clamp(x[0], -0.5, 0.7); }, {{{7}, distinct(-2, 2)}},
         elementwise_reference([](double x) { return x < -0.5 ? -0.5 : x > 0.7 ? 0.7 : x; })},
        {"clamp", "one side open", [](const Vars& x) { return clamp(x[0], -INFINITY, 0.5); }, {{{6}, distinct(-2, 2)}},
         elementwise_reference([](double x) { return x > 0.5 ? 0.5 : x; })},
    };
}

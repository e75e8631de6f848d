#pragma once

#include <functional>
#include <string>
#include <vector>

#include <cotape/core/checkpoint.hpp>
#include <cotape/core/var.hpp>

namespace cotape {

/// The cotangents of a function's inputs `x` from its output `y` and the cotangent `g` of that: one for each input, of
/// its type, recorded with ops on Vars; an empty Var where the output does not depend on that input smoothly.
using DerivativeRule = std::function<std::vector<Var>(Var y, Var g, const std::vector<Var>& x)>;

struct CustomDerivativeOptions {
    /// As messages and graphs print it.
    std::string name = "function";
    /// Whether each call compares the rule with the function's own derivative, along a random cotangent: a difference
    /// of more than the square root of the element type's epsilon, of the largest element, throws ValueError. Elements
    /// where the function's own derivative is not finite are passed by. This computes values, and is for tests.
    bool check = false;
};

/// `function`, which is composed of operations, with `rule` in place of its own derivative: for stability, or for a
/// gradient that is not the mathematical one. Higher orders follow from the rule, whose ops are differentiated in turn.
/// The result is called like the function, and throws what that throws; ValueError where the function reads a variable
/// that is not among its inputs, as that would get no gradient. A rule that gives another number of cotangents, or one
/// of another type, throws when it is asked for them.
/// What it records carries the line of the call of with_derivative, `where`.
VarFunction with_derivative(VarFunction function, DerivativeRule rule, const CustomDerivativeOptions& options = {},
                            Where where = Where::current());

/// Whether `node` is the output of such a function: its first input is what the function recorded, the others are the
/// function's inputs.
bool has_own_rule(const Node& node);

} // namespace cotape

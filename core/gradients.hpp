#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include <cotape/core/var.hpp>

namespace cotape {

/// The derivatives of the scalar `y` with respect to each of `xs`, recorded on the same tape: Vars like any other,
/// which can be differentiated again, to any order. Zero where `y` does not depend on an x. Throws ShapeError where `y`
/// is not a scalar: then give the cotangent of `y` as `seed`, of y's type.
std::vector<Var> gradients(Var y, std::span<const Var> xs, Var seed = {});
std::vector<Var> gradients(Var y, std::initializer_list<Var> xs, Var seed = {});
Var gradient(Var y, Var x, Var seed = {});

/// As gradients, for several outputs at once, and with an empty Var where no output depends on an x.
std::vector<Var> cotangents(std::span<const Var> ys, std::span<const Var> seeds, std::span<const Var> xs);

/// The Jacobian of `y`, transposed, times `cotangent`, which has the type of `y`: one pass in reverse. As gradients
/// with a seed.
std::vector<Var> vjp(Var y, std::span<const Var> xs, Var cotangent);
Var vjp(Var y, Var x, Var cotangent);

/// Forward mode: the directional derivative of `y` as each x moves along its tangent, which has the type of x. It is
/// the derivative of the reverse pass with respect to its seed, so it nests with itself and with `gradients` freely.
Var jvp(Var y, std::span<const Var> xs, std::span<const Var> tangents);
Var jvp(Var y, Var x, Var tangent);

/// The Hessian of the scalar `y` times `direction`, which has the type of `x`.
Var hvp(Var y, Var x, Var direction);

} // namespace cotape

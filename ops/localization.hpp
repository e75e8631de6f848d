#pragma once

#include <vector>

#include <cotape/ops/gradient_check.hpp>
#include <cotape/ops/projections.hpp>

namespace cotape {

/// Which ops are to blame for `finding`, a wrong derivative of a function. Each op on the tape of the function, and of
/// its derivatives below the finding's order, is tested alone at its recorded inputs, along a random direction: first
/// for its first derivatives, and where those are right, the function's own ops up to the finding's order. Of ops with
/// equal attributes and types two are tested. Where every rule is right, a constant that changes with the function's
/// inputs is to blame: a value that was read and recorded again.
std::vector<WrongRule> wrong_rules(const Projections& projections, const GradientFinding& finding);

} // namespace cotape

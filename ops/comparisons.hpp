#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

// Elementwise comparisons with broadcasting: 1 where true, 0 where false, in the element type of the operands.
// Constant by mathematics: no derivative. False where an operand is NaN, but for not_equal.

Var equal(Operand a, Operand b);
Var not_equal(Operand a, Operand b);
Var less(Operand a, Operand b);
Var less_equal(Operand a, Operand b);
Var greater(Operand a, Operand b);
Var greater_equal(Operand a, Operand b);

/// `a` where `condition` is not 0, `b` elsewhere; broadcast against each other.
Var where(Operand condition, Operand a, Operand b);

/// The larger; NaN where either is NaN. Of equal operands each gets half the cotangent; beside a NaN both get all of
/// it.
Var maximum(Operand a, Operand b);
/// The smaller; NaN where either is NaN. Of equal operands each gets half the cotangent; beside a NaN both get all of
/// it.
Var minimum(Operand a, Operand b);
/// `x` kept between `low` and `high`, the derivative 1 at both ends. NaN stays NaN. Throws ValueError for low > high.
Var clamp(Operand x, double low, double high);

} // namespace cotape

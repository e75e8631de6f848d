#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

Var exp(Operand x);
/// Natural logarithm; -inf at 0, NaN below.
Var log(Operand x);
/// log(1 + x), exact for small x.
Var log1p(Operand x);
/// exp(x) - 1, exact for small x.
Var expm1(Operand x);

} // namespace cotape

#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// exp(x) normalised to sum 1 along `axis`, without overflow; NaN where all of a group are -inf.
Var softmax(Operand x, std::int64_t axis = -1);

/// log(softmax(x)), exact where softmax itself would round to 0.
Var log_softmax(Operand x, std::int64_t axis = -1);

} // namespace cotape

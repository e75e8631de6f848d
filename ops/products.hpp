#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

// The ops that make up products, for those who take products apart.

extern const Op multiply_op;
extern const Op negate_op;

} // namespace cotape

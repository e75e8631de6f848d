#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// The sums of the elements up to and including each, along `axis`, accumulated in double. Throws ShapeError for an
/// axis out of range.
Var cumsum(Operand x, std::int64_t axis);

/// The products of the elements up to and including each, along `axis`: composed of about log2(n) multiplications, no
/// division, so that zero factors are right at every order. Throws ShapeError for an axis out of range.
Var cumprod(Operand x, std::int64_t axis);

} // namespace cotape

#pragma once

#include <cotape/core/var.hpp>

namespace cotape::nn {

/// A state [C] as it broadcasts against x [N, C, ...]: [1, C, 1, ...].
Var along_channels(Var state, const Shape& x);

} // namespace cotape::nn

#pragma once

#include <span>
#include <vector>

#include <cotape/core/var.hpp>

namespace cotape {

/// The nodes that `vars` of one tape are computed from, themselves included, in recording order.
std::vector<NodeId> ancestors(std::span<const Var> vars);

} // namespace cotape

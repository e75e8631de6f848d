#pragma once

#include <span>
#include <vector>

#include <cotape/core/tape.hpp>

namespace cotape {

/// The elementwise nodes among `needed`, in recording order, that a fusing evaluator should store although only other
/// elementwise nodes read them: parts of sums over many values that nobody else reads, as the gradient of a weight that
/// many steps share. Otherwise all of these values would be kept in memory until the sum is read.
std::vector<NodeId> parts_of_long_sums(const Tape& tape, std::span<const NodeId> needed);

} // namespace cotape

#pragma once

#include <span>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {

/// Computes `needed`, the nodes without a value that `vars` need, in recording order, by a plan that fuses elementwise
/// nodes and the sums at their ends. Plans are kept for tapes of the same structure. With Keep::all it keeps every value
/// that it put into memory. Results do not depend on the number of threads.
void evaluate_fused(Tape& tape, std::span<const NodeId> needed, std::span<const Var> vars, Keep keep);

/// The value of one node from those of its inputs.
Tensor compute_node(const Tape& tape, const Node& node);

} // namespace cotape

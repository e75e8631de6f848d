#pragma once

#include <span>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {

/// What an evaluator is given to do.
struct Evaluation {
    Tape& tape;
    /// Nodes without a value that are needed, in recording order.
    std::span<const NodeId> needed;
    /// What they are needed for.
    std::span<const NodeId> requested;
    Keep keep;
    /// Variables whose values may be overwritten once nothing that can throw is left to run: those of states that are
    /// about to change and that nobody else holds.
    std::span<const NodeId> expendable;
};

/// As the public `evaluate`, on behalf of a commit.
void evaluate(std::span<const Var> vars, Keep keep, std::span<const NodeId> expendable);

/// One node at a time, in recording order.
void evaluate_plain(const Evaluation& evaluation);

/// By a plan that fuses elementwise nodes and the sums at their ends. Plans are kept for tapes of the same structure.
/// With Keep::all it keeps every value that it put into memory. Results do not depend on the number of threads.
void evaluate_fused(const Evaluation& evaluation);

/// The value of one node from those of its inputs; `room` is called for memory for it, if its op wants some.
Tensor compute_node(const Tape& tape, const Node& node, const std::function<MutableTensor()>& room);
Tensor compute_node(const Tape& tape, const Node& node);

} // namespace cotape

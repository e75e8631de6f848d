#pragma once

#include <cstdint>

#include <cotape/core/op.hpp>

namespace cotape {

/// A node's inputs, in order.
using NodeIds = SmallVector<NodeId, 4>;

/// One entry of a tape: an op applied to earlier nodes. Immutable once recorded, but for its last two members.
struct Node {
    Node(const Op& applied, const NodeIds& operands, const Attributes& parameters, const Type& output)
        : op(&applied), inputs(operands), attributes(parameters), type(output) {}

    const Op* op;
    NodeIds inputs;
    /// The tape keeps these two, once for all nodes without attributes, and once for a node and inputs of its type.
    const Attributes& attributes;
    const Type& type;
    /// The line of the user's program.
    Where where;
    /// Index of the module path (Tape::module_path).
    std::int32_t module = 0;
    /// The node whose derivative rule recorded this one; -1 for what the user recorded.
    NodeId derivative_of = -1;
    /// Whether it is symbolic, or computed from something that is.
    bool symbolic = false;
    /// A hash of what matters to how the node is computed: op, attributes, inputs and type; for a source the type
    /// alone.
    std::uint64_t signature = 0;
    /// Where the tape keeps the value; 0 where it has not been computed.
    std::int32_t value = 0;
    /// The first node that has this one as its latest input; -1 for none.
    NodeId first_user = -1;
};

} // namespace cotape

#pragma once

#include <cstdint>

#include <cotape/core/op.hpp>

namespace cotape {

/// One entry of a tape: an op applied to earlier nodes. Immutable once recorded.
struct Node {
    const Op* op = nullptr;
    SmallVector<NodeId, 4> inputs;
    Attributes attributes;
    Type type;
    /// The line of the user's program.
    Where where;
    /// Index of the module path (Tape::module_path).
    std::int32_t module = 0;
    /// The node whose derivative rule recorded this one; -1 for what the user recorded.
    NodeId derivative_of = -1;
    /// Whether it is symbolic, or computed from something that is.
    bool symbolic = false;
    /// Of op, attributes and inputs.
    std::uint64_t hash = 0;
    /// Of what matters to how the node is computed: as `hash`, and the type; for a source the type alone.
    std::uint64_t signature = 0;
};

} // namespace cotape

#pragma once

#include <functional>
#include <span>
#include <unordered_map>

#include <cotape/core/tape.hpp>
#include <cotape/core/window.hpp>

namespace cotape {

/// A value is computed again, instead of stored, up to this many additions from what is in memory.
constexpr int cheap_cost = 6;

/// A slice that is computed from slices of what `base`, which it sees through `window`, is computed from. `leaves` are
/// what it then reads from memory; `cost` is in additions.
struct PushedSlice {
    NodeId base;
    Window window;
    SmallVector<NodeId, 8> leaves;
    int cost;
};
using PushedSlices = std::unordered_map<NodeId, PushedSlice>;

/// What a planner knows of nodes.
struct SliceChoices {
    /// Can be a step of a group.
    std::function<bool(NodeId)> is_step;
    /// Is put into memory whoever reads it.
    std::function<bool(NodeId)> is_kept;
    /// A view that only steps read.
    std::function<bool(NodeId)> is_seen_through;
};

/// Whether `input` of `user`, of which slices are wanted, is not read from memory, but computed slice by slice too.
bool computed_in_slices(const Tape& tape, NodeId input, NodeId user, const SliceChoices& choices);

/// Finds the elementwise values that are cheap to compute and that nobody but slices reads, together no more elements
/// than there are: these need not be in memory as a whole.
PushedSlices find_pushed_slices(const Tape& tape, std::span<const NodeId> needed, const SliceChoices& choices);

} // namespace cotape

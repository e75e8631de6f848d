#pragma once

#include <functional>
#include <span>

#include <cotape/core/fusion_plan.hpp>
#include <cotape/core/node.hpp>
#include <cotape/core/pushed_slices.hpp>

namespace cotape {

/// How a group treats a value that it needs.
struct GroupChoices {
    /// Computed by a step of the group; otherwise read from memory.
    std::function<bool(NodeId)> is_step;
    /// Put into memory, where it is computed.
    std::function<bool(NodeId)> is_stored;
    /// Stored, but in rows apart.
    std::function<bool(NodeId)> is_in_rows;
    /// Not in memory itself: its input is, and is read in its place.
    std::function<bool(NodeId)> is_seen_through;
    /// Null for what is no slice that is computed from slices.
    std::function<const PushedSlice*(NodeId)> pushed;
    /// Computed by a step where slices of `user` are, from slices: `input` is its first argument.
    std::function<bool(NodeId input, NodeId user)> is_computed_in_slices;
};

bool is_fold(const Node& node);
/// The loops of an elementwise node, or of a rowwise one, for its element type; null where there are none.
TileKernel tile_kernel(const Node& node);
RowKernel row_kernel(const Node& node);

/// Finds what `group` loads and computes to get the values of `roots`, which it stores or which are its folds.
void find_steps(Group& group, const Tape& tape, std::span<const NodeId> roots, const GroupChoices& choices);

} // namespace cotape

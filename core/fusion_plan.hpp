#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <cotape/core/broadcast_reader.hpp>
#include <cotape/core/fold_walk.hpp>
#include <cotape/core/placement.hpp>

namespace cotape {

class Tape;

/// Ops with more inputs than this do not fuse.
constexpr std::size_t most_step_operands = 8;
/// The longest tile that a group runs at a time, in elements. Rowwise ops of longer rows do not fuse.
constexpr std::int64_t longest_tile = 1024;

/// What a group reads from memory: tile by tile where it has the group's extents, otherwise a view of it, stretched.
struct GroupLoad {
    NodeId node;
    bool in_place;
    /// The value of a state that is about to change, which holds it beside the tape; it may be overwritten all the
    /// same.
    bool of_state = false;
    /// What is seen of the node.
    Shape shape;
    View view;
};

/// One elementwise or rowwise op on one tile, or a chain of arithmetic, by one of the kernels. Operands are numbered:
/// first the loads, then the stored values, then slots of scratch.
struct GroupStep {
    TileKernel kernel;
    RowKernel row_kernel;
    SmallVector<OperandIndex, 4> operands;
    OperandIndex result;
    /// What the result is stored as; -1 for nothing: then it lives in scratch.
    NodeId store = -1;
    /// Whether it is stored in rows apart, where they can be by the kernel itself: see the plan's placements.
    bool in_rows = false;
    /// The load that the stored value may be written over; -1 for none.
    OperandIndex overwrites = -1;
};

/// Elementwise and rowwise nodes over one space of elements, and the reductions at their ends, run together tile by
/// tile. With rowwise nodes, tiles are made of whole rows.
struct Group {
    Type space;
    std::vector<GroupLoad> loads;
    std::vector<GroupStep> steps;
    std::vector<GroupFold> folds;
    /// How the loads are read that are not in place, and how the folds go that are in no others.
    std::vector<BroadcastPattern> patterns;
    std::vector<FoldWalk> walks;
    std::int32_t stores = 0;
    std::int32_t slots = 0;
    /// What an element costs, in additions.
    int cost = 0;
};

/// How to cut values and spaces of elements, all in the same way, into parts. Each is seen as [outer, count, inner]; a
/// part has some of the `count`.
struct Cut {
    enum class Into {
        blocks,   // of consecutive elements: [count, inner]
        columns,  // [outer, count]
        channels, // as images have them: [outer, count, pixels], or one element each: [count]
    };
    Into into;
    std::int64_t count;
    std::int64_t pixels = 1;

    /// Of a value or a space of so many elements.
    std::int64_t inner(std::int64_t size) const {
        return into == Into::blocks ? size / count : into == Into::channels && size != count ? pixels : 1;
    }
};

/// Consecutive units that run part by part: all of them for one part, then all for the next, so that what one puts into
/// memory is still in the cache when another reads it. Parts share nothing (see series_plan.hpp).
struct Series {
    Cut cut;
    /// What one of the cut's `count` has of all values, those that are written over counted twice.
    std::int64_t bytes = 0;
    /// How many of these a part has at least.
    std::int64_t least = 1;
    /// Nothing is gained by parts: the groups run one after the other, each cut on its own.
    bool one_by_one = false;
};

/// One thing to run: a group, or a single node that does not fuse.
struct PlanUnit {
    NodeId node = -1;
    std::int32_t group = -1;
    /// The series that it is part of; -1 for none. Units of a series are groups, and views of what they write.
    std::int32_t series = -1;
    /// What nobody reads after this unit (see buffer_reuse.hpp).
    std::vector<NodeId> dying;
};

/// How to compute some values of a tape: made once for each structure, used for every tape that has it.
struct FusionPlan {
    std::vector<Group> groups;
    std::vector<PlanUnit> units;
    std::vector<Series> series;
    /// What is written into the memory of a value that is put together from it.
    Placements placements;
};

/// Plans the computation of `needed`, in recording order, for the sake of `requested`. Every node gets a stage: an
/// elementwise node stays in the stage of its inputs of the same space; whatever reads a value from memory comes a
/// stage after what put it there. Nodes of one stage and one space form a group, which therefore depends on no part of
/// itself through anything outside. A value that a later group wants is stored, unless it is cheap to compute there
/// again; one that only slices see is computed slice by slice, if that is cheap (see pushed_slices.hpp).
FusionPlan make_fusion_plan(const Tape& tape, std::span<const NodeId> needed, std::span<const NodeId> requested);

} // namespace cotape

#pragma once

#include <functional>
#include <span>
#include <unordered_map>

#include <cotape/core/node.hpp>
#include <cotape/core/tensor.hpp>

namespace cotape {

class Tape;

/// Where a value is written: into the memory of `whole`, which is put together from it and others (Op::placement). Its
/// elements are rows there, of `width` elements, `distance` apart; in one piece, they are one row.
struct Placement {
    NodeId whole;
    std::int64_t offset;
    std::int64_t width;
    std::int64_t distance;
    bool in_one_piece;
    /// What lies there until a part of the whole is written over it; elsewhere, where nothing is written over.
    bool is_overwritten = false;
};

/// What is written in its place, by its node.
using Placements = std::unordered_map<NodeId, Placement>;

/// Where a value is placed; null for nowhere. Nothing is overwritten by an evaluation that does not recycle.
const Placement* placement_of(const Placements& placements, NodeId id, bool recycles = true);
/// Whether a part of a whole is written over a value where that lies.
bool is_overwritten_in_place(const Placements& placements, NodeId id, bool recycles = true);

/// Where a node that only chooses among the elements of its input (Op::view) has its own.
View view_of(const Tape& tape, const Node& node);

/// How a value may be written, as far as its own computation is concerned.
enum class Writing { elsewhere, in_one_piece, in_rows };

/// Finds which of the `needed` nodes are written where those that they are parts of will be, so that nobody has to copy
/// them. Those that somebody else reads as well are placed in one piece only; `inputs_of` says what a node reads.
Placements find_placements(const Tape& tape, std::span<const NodeId> needed,
                           const std::function<std::span<const NodeId>(NodeId)>& inputs_of,
                           const std::function<Writing(NodeId)>& writing);

/// Where a value goes that is placed in rows.
struct PlacedRows {
    std::byte* first;
    std::int64_t width;
    std::int64_t distance;

    /// Where an element of the value is, counted from the first.
    std::int64_t position(std::int64_t element) const { return element / width * distance + element % width; }
    /// Whether rows of consecutive elements, the first from `begin` on, lie equally far apart, none in pieces.
    bool have(std::int64_t begin, const FoldRows& rows) const {
        return begin % width + rows.width <= width && (rows.count == 1 || rows.distance % width == 0);
    }
    /// Copies `count` elements that begin at position `begin` of the value.
    void put(const std::byte* elements, std::int64_t begin, std::int64_t count, std::size_t element_size) const;
};

/// The memory that values of one evaluation are written to.
class ResultMemory {
  public:
    /// `recycles`: whether values are written over others.
    ResultMemory(const Tape& tape, const Placements& placements, bool recycles)
        : tape_(tape), placements_(placements), recycles_(recycles) {}

    /// Where the value of a node, in one piece, is to be written.
    MutableTensor of(NodeId id);
    /// Of a value that is placed in rows.
    PlacedRows rows_of(NodeId id);

    bool is_overwritten_in_place(NodeId id) const {
        return cotape::is_overwritten_in_place(placements_, id, recycles_);
    }

    /// The value of a node that is put together from others, those that have not been written there now copied.
    Tensor complete(NodeId id);

  private:
    const Placement* placement(NodeId id) const { return placement_of(placements_, id, recycles_); }
    /// What is unfinished lies here, never on the tape.
    Tensor& memory_of_whole(NodeId id);

    const Tape& tape_;
    const Placements& placements_;
    bool recycles_;
    std::unordered_map<NodeId, Tensor> unfinished_;
};

} // namespace cotape

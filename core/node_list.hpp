#pragma once

#include <bit>
#include <cstddef>
#include <memory>
#include <vector>

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
    /// Of op, attributes and inputs.
    std::uint64_t hash = 0;
    /// Of what matters to how the node is computed: as `hash`, and the type; for a source the type alone.
    std::uint64_t signature = 0;
};

/// A tape's nodes: grows at the end without moving what is there, so that a reference to a node stays good while
/// derivative rules record more. Blocks double in size, so that small tapes stay small.
class NodeList {
  public:
    std::size_t size() const { return size_; }
    Node& operator[](std::size_t i) {
        std::size_t block = block_of(i);
        return blocks_[block][i - begin_of(block)];
    }
    const Node& operator[](std::size_t i) const { return const_cast<NodeList&>(*this)[i]; }

    /// Appends a node and returns it; whoever calls sets all its members.
    Node& append() {
        std::size_t block = block_of(size_);
        if (block == blocks_.size()) blocks_.push_back(std::make_unique<Node[]>(first_block << block));
        return (*this)[size_++];
    }
    /// Drops the nodes from `size` on; their memory is kept for later nodes.
    void truncate(std::size_t size) { size_ = size; }

  private:
    static constexpr std::size_t first_block = 32;
    static std::size_t block_of(std::size_t i) {
        return static_cast<std::size_t>(std::bit_width(i / first_block + 1)) - 1;
    }
    static std::size_t begin_of(std::size_t block) { return ((std::size_t(1) << block) - 1) * first_block; }

    std::vector<std::unique_ptr<Node[]>> blocks_;
    std::size_t size_ = 0;
};

} // namespace cotape

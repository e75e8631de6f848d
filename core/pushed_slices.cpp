#include <cotape/core/pushed_slices.hpp>

#include <algorithm>
#include <ranges>
#include <vector>

#include <cotape/core/placement.hpp>

namespace cotape {
namespace {

/// The whole is not held in memory, but so many other values may be in its place.
constexpr std::ptrdiff_t most_large_leaves = 2;

class Finder {
  public:
    Finder(const Tape& tape, std::span<const NodeId> needed, const SliceChoices& choices)
        : tape_(tape), needed_(needed), choices_(choices), facts_(static_cast<std::size_t>(needed.back()) + 1) {}

    PushedSlices find() && {
        for (NodeId id : needed_) of(id).needed = true;
        for (NodeId id : std::views::reverse(needed_)) look_at_inputs_of(id);
        for (NodeId id : needed_) {
            Facts& facts = of(id);
            if (facts.window)
                push(id);
            else if (choices_.is_step(id) && !choices_.is_kept(id))
                facts.cost = cost_of(id);
        }
        return std::move(pushed_);
    }

  private:
    struct Facts {
        bool needed = false;
        /// Steps over spaces other than its own read it, or what is no step.
        bool read_otherwise = false;
        /// How many of its elements slices see that can be pushed; -1 where anything else reads it.
        std::int64_t seen = 0;
        /// Of a slice that can be pushed, to the value behind all reshapes.
        std::optional<Window> window;
        int cost = 0;
    };
    Facts& of(NodeId id) { return facts_[static_cast<std::size_t>(id)]; }
    const Node& node(NodeId id) const { return tape_.node(id); }

    NodeId base_of(NodeId slice) const {
        NodeId base = node(slice).inputs[0];
        while (node(base).op->kind == OpKind::view) base = node(base).inputs[0];
        return base;
    }

    /// In reverse order: everyone who reads the node has been seen.
    void look_at_inputs_of(NodeId id) {
        const Node& current = node(id);
        Facts& facts = of(id);
        std::int64_t seen = -1;
        if (choices_.is_seen_through(id) && !facts.read_otherwise) {
            View view = view_of(tape_, current);
            if (is_dense(view, current.type.shape))
                facts.window = window_of(current.type.shape, view, node(base_of(id)).type.shape);
            if (facts.window) seen = element_count(current.type.shape);
        } else if (current.op->kind == OpKind::view && !choices_.is_kept(id)) {
            seen = facts.seen;
        }
        for (NodeId input : current.inputs) {
            if (!of(input).needed) continue;
            of(input).read_otherwise |= !choices_.is_step(id) || !(node(input).type == current.type);
            std::int64_t& all = of(input).seen;
            all = seen < 0 || all < 0 ? -1 : all + seen;
            seen = -1; // views show their first input
        }
    }

    int cost_of(NodeId id) {
        if (node(id).op->kind != OpKind::elementwise) return cheap_cost + 1;
        int cost = node(id).op->cost;
        for (NodeId input : node(id).inputs)
            if (of(input).needed && node(input).type == node(id).type)
                cost = std::min(cost + of(input).cost, cheap_cost + 1);
        return cost;
    }

    void push(NodeId slice) {
        NodeId base = base_of(slice);
        if (!of(base).needed || !choices_.is_step(base) || choices_.is_kept(base)) return;
        Facts& facts = of(base);
        if (facts.seen < 0 || facts.seen > element_count(node(base).type.shape) || facts.cost > cheap_cost) return;
        PushedSlice pushed{base, *of(slice).window, {}, facts.cost};
        add_leaves(base, pushed.leaves);
        auto is_large = [&](NodeId leaf) {
            return element_count(node(leaf).type.shape) >= element_count(node(base).type.shape);
        };
        if (std::ranges::count_if(pushed.leaves, is_large) > most_large_leaves) return;
        of(slice).cost = facts.cost;
        pushed_.emplace(slice, std::move(pushed));
    }

    static void add(NodeId leaf, SmallVector<NodeId, 8>& leaves) {
        if (std::ranges::find(leaves, leaf) == leaves.end()) leaves.push_back(leaf);
    }

    void add_leaves(NodeId id, SmallVector<NodeId, 8>& leaves) {
        for (NodeId input : node(id).inputs) {
            auto found = pushed_.find(input);
            if (found != pushed_.end())
                for (NodeId leaf : found->second.leaves) add(leaf, leaves);
            else if (computed_in_slices(tape_, input, id, choices_))
                add_leaves(input, leaves);
            else
                add(input, leaves);
        }
    }

    const Tape& tape_;
    std::span<const NodeId> needed_;
    const SliceChoices& choices_;
    std::vector<Facts> facts_;
    PushedSlices pushed_;
};

} // namespace

bool computed_in_slices(const Tape& tape, NodeId input, NodeId user, const SliceChoices& choices) {
    return choices.is_step(input) && !choices.is_kept(input) && tape.node(input).op->kind == OpKind::elementwise &&
           tape.node(input).type == tape.node(user).type;
}

PushedSlices find_pushed_slices(const Tape& tape, std::span<const NodeId> needed, const SliceChoices& choices) {
    return Finder(tape, needed, choices).find();
}

} // namespace cotape

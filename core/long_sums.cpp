#include <cotape/core/long_sums.hpp>

#include <algorithm>

namespace cotape {
namespace {

/// So many values may wait in memory for one result.
constexpr int most_waiting = 8;

} // namespace

std::vector<NodeId> parts_of_long_sums(const Tape& tape, std::span<const NodeId> needed) {
    struct Facts {
        bool needed = false;
        int readers = 0;
        /// How many values in memory are there for this node alone.
        int waiting = 0;
    };
    NodeId first = needed.front();
    std::vector<Facts> facts(static_cast<std::size_t>(needed.back() - first) + 1);
    auto of = [&](NodeId id) -> Facts& { return facts[static_cast<std::size_t>(id - first)]; };
    auto is_elementwise = [&](NodeId id) { return tape.node(id).op->kind == OpKind::elementwise; };
    for (NodeId id : needed) {
        of(id).needed = true;
        for (NodeId input : tape.node(id).inputs)
            if (input >= first) ++of(input).readers;
    }
    std::vector<NodeId> parts;
    for (NodeId id : needed) {
        if (!is_elementwise(id)) continue;
        int& waiting = of(id).waiting;
        for (NodeId input : tape.node(id).inputs) {
            if (input < first || !of(input).needed || of(input).readers > 1) continue;
            bool same_group = is_elementwise(input) && tape.node(input).type == tape.node(id).type;
            waiting += same_group ? of(input).waiting : 1;
        }
        if (waiting <= most_waiting) continue;
        parts.push_back(id);
        waiting = 1;
    }
    return parts;
}

} // namespace cotape

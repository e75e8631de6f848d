#include <cotape/core/ancestors.hpp>

#include <algorithm>

#include <cotape/core/tape.hpp>

namespace cotape {

std::vector<NodeId> ancestors(std::span<const Var> vars) {
    std::vector<NodeId> nodes, open;
    std::vector<bool> seen;
    if (!vars.empty()) seen.resize(vars.front().tape().size());
    auto visit = [&](NodeId id) {
        if (!seen[static_cast<std::size_t>(id)]) open.push_back(id);
        seen[static_cast<std::size_t>(id)] = true;
    };
    for (Var var : vars) visit(var.id());
    while (!open.empty()) {
        NodeId id = open.back();
        open.pop_back();
        nodes.push_back(id);
        for (NodeId input : vars.front().tape().node(id).inputs) visit(input);
    }
    std::ranges::sort(nodes);
    return nodes;
}

} // namespace cotape

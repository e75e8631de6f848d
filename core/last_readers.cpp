#include <cotape/core/last_readers.hpp>

#include <algorithm>
#include <unordered_map>

namespace cotape {

void find_last_readers(FusionPlan& plan, const Tape& tape, std::span<const NodeId> requested) {
    std::unordered_map<NodeId, std::size_t> last_unit; // of what the plan itself puts into memory
    for (std::size_t i = 0; i < plan.units.size(); ++i) {
        auto read = [&](NodeId id) {
            if (auto found = last_unit.find(id); found != last_unit.end()) found->second = i;
        };
        const PlanUnit& unit = plan.units[i];
        if (unit.group < 0) {
            std::ranges::for_each(tape.node(unit.node).inputs, read);
            last_unit[unit.node] = i;
            continue;
        }
        const Group& group = plan.groups[static_cast<std::size_t>(unit.group)];
        for (const GroupLoad& load : group.loads) read(load.node);
        for (const GroupFold& fold : group.folds) last_unit[fold.node] = i;
        for (const GroupStep& step : group.steps)
            if (step.store >= 0) last_unit[step.store] = i;
    }
    for (NodeId id : requested) last_unit.erase(id);
    for (auto [id, unit] : last_unit) plan.units[unit].dying.push_back(id);
}

} // namespace cotape

#pragma once

#include <span>

#include <cotape/core/fusion_plan.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {

/// Settles when the plan's values leave memory, and which are written over. What a unit puts into memory dies after the
/// last unit that reads it, unless it is requested; a group stores a value in place of one of the same size that dies
/// with it and that the group has read by then. Where the value is part of a whole, the other is put there from the
/// start, if its op can be told where and enough of the whole is computed so; else the part is copied in the end. What
/// dies within a series stays until all of that has run, or is written over part by part. A group that alone reads an
/// `expendable` variable, and whose results no other unit reads, is moved to the end, after all that can throw, and
/// writes over that as well. Forms series (see series_plan.hpp).
void plan_reuse(FusionPlan& plan, const Tape& tape, std::span<const NodeId> requested,
                std::span<const NodeId> expendable);

/// Calls `visit(NodeId)` for what `unit` reads from memory; a node that it reads twice may come twice.
template <class Visit>
void for_each_read(const FusionPlan& plan, const PlanUnit& unit, const Tape& tape, Visit visit) {
    if (unit.group < 0) {
        for (NodeId input : tape.node(unit.node).inputs) visit(input);
        return;
    }
    for (const GroupLoad& load : plan.groups[static_cast<std::size_t>(unit.group)].loads) visit(load.node);
}

/// Calls `visit(NodeId, const GroupStep*)` for what `unit` puts into memory, with the step that stores it, if one does.
template <class Visit>
void for_each_write(const FusionPlan& plan, const PlanUnit& unit, Visit visit) {
    if (unit.group < 0) {
        visit(unit.node, nullptr);
        return;
    }
    const Group& group = plan.groups[static_cast<std::size_t>(unit.group)];
    for (const GroupStep& step : group.steps)
        if (step.store >= 0) visit(step.store, &step);
    for (const GroupFold& fold : group.folds) visit(fold.node, nullptr);
}

} // namespace cotape

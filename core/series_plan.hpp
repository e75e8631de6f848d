#pragma once

#include <span>

#include <cotape/core/fusion_plan.hpp>

namespace cotape {

/// Makes series of the plan's units. A series begins with a group that folds; the folds settle the cut. What follows
/// joins where the cut fits its space and its folds, and where it reads what the series has written from its own part
/// alone; units that need nothing of the series go before it. Small folds over all blocks may be among its own: they
/// are joined when all parts have run, and what needs them goes after the series. It ends before the first unit that
/// needs anything else of it and cannot join, at the last group over the space of the first, or after some of those.
/// Groups that write over states stay where they are.
void form_series(FusionPlan& plan, const Tape& tape);

/// Calls `visit(std::span<const PlanUnit>)` for the units that run together, a series or one alone, in order.
template <class Visit>
void for_each_turn(std::span<const PlanUnit> units, Visit visit) {
    while (!units.empty()) {
        std::size_t count = 1;
        if (std::int32_t series = units.front().series; series >= 0)
            while (count < units.size() && units[count].series == series) ++count;
        visit(units.first(count));
        units = units.subspan(count);
    }
}

/// Whether what `load` reads for an element of `space` lies in the same part of its node's `size` elements, for all
/// elements.
bool reads_within_parts(const GroupLoad& load, std::int64_t size, const Shape& space, const Cut& cut);

} // namespace cotape

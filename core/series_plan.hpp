#pragma once

#include <cotape/core/fusion_plan.hpp>

namespace cotape {

/// Makes series of the plan's units. A series begins with a group that folds; the folds settle the cut. What follows
/// joins where the cut fits its space and its folds, and where it reads what the series has written from its own part
/// alone; units that need nothing of the series go before it. It ends before the first unit that needs what it writes
/// and cannot join, at the last group over the space of the first, or after some of those. Groups that write over
/// states stay where they are.
void form_series(FusionPlan& plan, const Tape& tape);

/// How many of the units at the front of `units` run together: a series, or else one.
std::size_t units_together(std::span<const PlanUnit> units);

/// Whether what `load` reads for an element of `space` lies in the same part of its node's `size` elements, for all
/// elements.
bool reads_within_parts(const GroupLoad& load, std::int64_t size, const Shape& space, const Cut& cut);

} // namespace cotape

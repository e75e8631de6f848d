#pragma once

#include <span>

#include <cotape/core/fusion_plan.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {

/// Fills in `dying` of the plan's units, which are in order: what a unit puts into memory dies after the last unit that
/// reads it, unless it is requested.
void find_last_readers(FusionPlan& plan, const Tape& tape, std::span<const NodeId> requested);

} // namespace cotape

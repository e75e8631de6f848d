#pragma once

#include <span>

#include <cotape/core/fusion_plan.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {

/// Runs the units of a series, or a group alone: reads what they need from the tape, and puts what they compute there.
/// Results are written to `memory`. Threads take parts, each of which goes through all groups. Results have the same
/// bits for every number of threads. Where it `recycles`, it writes over values as the plan allows; these are then no
/// longer on the tape. Where something throws, none of the results is.
void run_series(Tape& tape, const FusionPlan& plan, std::span<const PlanUnit> units, ResultMemory& memory,
                bool recycles);

} // namespace cotape

#pragma once

#include <cotape/core/fusion_plan.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {

/// Computes a group: reads its loads from the tape, and puts its stored values and the results of its folds there. The
/// space is cut into chunks. Where elements of one output are in several, the chunks are of a size that depends on the
/// space alone; each folds on its own, and the folds are joined in order, so that the result has the same bits for
/// every number of threads. Where it `recycles`, it writes over loads as the plan allows; these are then no longer on
/// the tape.
void run_group(Tape& tape, const Group& group, bool recycles);

} // namespace cotape

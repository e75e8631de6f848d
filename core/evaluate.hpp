#pragma once

#include <span>

#include <cotape/core/var.hpp>

namespace cotape {

/// What stays on the tape after an evaluation, besides what was there before.
enum class Keep {
    /// Every value that was put into memory on the way, so that asking for more later starts from it.
    all,
    /// Only what was asked for; the rest is recycled as soon as its last reader has run, or written over by it.
    requested,
};

/// Computes the values of `vars`, which share one tape, and whatever they need that has not been computed yet, by the
/// evaluator that the tape's options choose (TapeOptions::evaluator). The plain one computes one node at a time, in
/// recording order, and is the reference that the fusing one must match.
/// A value that did not stay can still be read: it is computed again from what is there, to the same bits but for the
/// order in which sums are added. Ask for it here, or give it to `commit`, to save that.
/// Throws what kernels throw, and NonFiniteError in finite-check mode; what was computed before stays.
void evaluate(std::span<const Var> vars, Keep keep = Keep::all);

} // namespace cotape

#pragma once

#include <functional>
#include <span>
#include <string>

namespace works {

/// Something that is timed, step by step; pytorch_steps.py does the same in PyTorch under the same name. `prepare`
/// gives a function that makes one step, all that a user's step does: recording, derivatives, evaluation, commit.
/// Steps take turns between several batches. The time of `parts` equal parts is one step's.
struct Work {
    std::string name;
    std::string title;
    int parts;
    std::function<std::function<void()>()> prepare;
};

std::span<const Work> all();

/// Beside all of these, "batch:N" is the training step of mlp_512_momentum at batch N, and "depth:N" that of a net of N
/// linear layers of width 32 with relu, batch 32, SGD. Throws cotape::ValueError for a name that no work has.
Work find(const std::string& name);

} // namespace works

#pragma once

#include <functional>
#include <span>
#include <string>

namespace works {

/// Something that is timed, step by step; pytorch_steps.py does the same in PyTorch under the same name. `prepare`
/// gives a function that makes one step, all that a user's step does: recording, derivatives, evaluation, commit.
/// Steps take turns between several batches. The time of `parts` equal parts is one step's.
struct Work {
    const char* name;
    const char* title;
    int parts;
    std::function<void()> (*prepare)();
};

std::span<const Work> all();

/// Throws cotape::ValueError for a name that no work has.
const Work& find(const std::string& name);

} // namespace works

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <cotape/core/var.hpp>

namespace cotape {

/// The memory that the values of one evaluation take, step by step; Tape::memory_plan gives it. A step is what runs at
/// a time: one node, or a group of fused ones; groups that run part by part hold what any of them writes until the
/// last. Bytes are those of whole buffers, as the buffer pool counts them. Scratch is not among them: some tens of
/// kilobytes a thread in a group, and what kernels need for themselves.
struct MemoryPlan {
    struct Value {
        NodeId node;
        std::size_t bytes;
        /// "matmul float32 [128, 256], net.cpp:12 in layers.0, in the derivative of relu"
        std::string description;
    };
    struct Step {
        /// What it puts into memory: "matmul", or "sum and 2 more".
        std::string writes;
        /// The line and module of the first of these.
        std::string place;
        /// Held while it runs, what was there before the evaluation included.
        std::size_t bytes;
        /// What it takes from memory: each value that it reads, once.
        std::size_t read;
        /// Taken by what it puts into memory, and how much of that lies where an input lay that dies here.
        std::size_t written;
        std::size_t in_place;
        /// Given back after it.
        std::size_t freed;
    };

    /// Held before the first step: constants, variables, and values computed before.
    std::size_t bytes_before = 0;
    /// The most that is held at once, `bytes_before` included, and the step that runs then.
    std::size_t peak_bytes = 0;
    std::size_t peak_step = 0;
    /// What is held at the peak, the largest first.
    std::vector<Value> alive_at_peak;
    std::vector<Step> steps;

    /// The peak, the largest values that are alive at it, and a table of the steps.
    std::string to_string() const;
};

} // namespace cotape

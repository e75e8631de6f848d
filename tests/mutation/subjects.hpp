#pragma once

#include <string>
#include <vector>

#include <cotape/core/tensor.hpp>
#include <cotape/ops/gradient_check.hpp>

/// A function whose derivatives are right, the inputs to check it at, and to which order.
struct Subject {
    std::string name;
    cotape::CheckedFunction function;
    std::vector<cotape::Tensor> inputs;
    int order;
};

/// Every row of the table of ops that has a derivative, batch norm composed of ops, and batch norm as one op with a
/// rule written by hand, all with inputs drawn by `seed`.
std::vector<Subject> subjects(std::uint64_t seed);

/// A net of some seventy ops and its loss, with inputs: its parameters and a batch.
Subject deep_model();

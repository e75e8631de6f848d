#pragma once

#include <cstdint>
#include <vector>

#include <cotape/core/tensor.hpp>
#include <cotape/ops/gradient_check.hpp>

/// A rule by which another library accepts a gradient, in float64 whatever that library computes in.
struct PeerChecker {
    const char* name;
    /// Whether the rule lets the function's derivatives pass.
    bool (*accepts)(const cotape::CheckedFunction& function, const std::vector<cotape::Tensor>& inputs,
                    std::uint64_t seed);
};

/// DyNet's check_grad, JAX's check_grads to order 2, dlib's test_layer, PyTorch's gradcheck, and differences of the
/// plain sum of the output.
const std::vector<PeerChecker>& peer_checkers();

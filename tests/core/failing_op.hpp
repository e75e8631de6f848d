#pragma once

#include <stdexcept>

#include <cotape/core/op.hpp>

/// Its value cannot be computed.
inline const cotape::Op failing_op{
    .name = "failing",
    .type = [](const cotape::Call& call) { return call.type(0); },
    .kernel = [](const cotape::Call&, const cotape::Type&, std::span<const cotape::Tensor>) -> cotape::Tensor {
        throw std::runtime_error("it fails");
    },
};

#pragma once

#include <vector>

#include <cotape/core/tape.hpp>
#include <cotape/nn/module.hpp>

namespace cotape::testing {

/// Shows the batches to the net's normalisers, with a commit each, as training does; then the net evaluates.
inline void show(nn::Module& net, const std::vector<Tensor>& batches) {
    net.train();
    for (const Tensor& batch : batches) {
        Tape tape;
        net(tape.constant(batch));
        commit(tape);
    }
    net.evaluate();
}

} // namespace cotape::testing

#pragma once

#include <vector>

#include <cotape/nn/module.hpp>

#include "numbers.hpp"

namespace cotape::testing {

/// The parameters and statistics of a module as they were, to compare with later.
class Snapshot {
  public:
    explicit Snapshot(nn::Module& module) {
        for (const auto& [path, state] : module.parameters()) add(state);
        for (const auto& [path, state] : module.statistics()) add(state);
    }
    bool is_current() const {
        for (std::size_t i = 0; i < states_.size(); ++i)
            if (states_[i].version() != versions_[i] || !same_bits(states_[i].value(), values_[i])) return false;
        return true;
    }

  private:
    void add(const State& state) {
        states_.push_back(state);
        values_.push_back(state.value());
        versions_.push_back(state.version());
    }

    std::vector<State> states_;
    std::vector<Tensor> values_;
    std::vector<std::uint64_t> versions_;
};

} // namespace cotape::testing

#pragma once

#include <string>

#include <cotape/nn/normalizer.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

namespace cotape::testing {

/// Normalises [steps, N, features] at each step by itself; `counts`, [steps, 1], says how many of the N count.
class StepNorm : public nn::Normalizer {
  public:
    StepNorm(std::int64_t steps, std::int64_t features, std::optional<double> momentum, Tensor counts)
        : Normalizer("StepNorm", {steps, features}, 1e-5, momentum), counts_(std::move(counts)) {}
    std::string describe() const override { return "StepNorm(" + describe_statistics() + ")"; }

  protected:
    Var forward(Var x) override {
        Var centre = mean(x, {1}, {.keep_dims = true}), spread = variance(x, {1}, {.keep_dims = true});
        track({centre, spread, counts_});
        return (x - centre) * rsqrt(spread + epsilon());
    }

  private:
    Tensor counts_;
};

} // namespace cotape::testing

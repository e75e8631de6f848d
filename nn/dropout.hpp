#pragma once

#include <random>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// In training each element is zero with probability `p`, and the others are divided by 1 - p; in evaluation x itself
/// (Srivastava et al. 2014). The mask enters the tape as a constant. The layer draws from a generator of its own,
/// seeded from the one it is given.
class Dropout : public Module {
  public:
    /// Throws ValueError unless p is in [0, 1].
    Dropout(double p, std::mt19937& random);

    std::string describe() const override;

  protected:
    Var forward(Var x) override;

  private:
    double p_;
    std::mt19937_64 random_;
};

} // namespace cotape::nn

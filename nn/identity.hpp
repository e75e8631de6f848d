#pragma once

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// y = x; holds a place.
class Identity : public Module {
  public:
    std::string describe() const override { return "Identity"; }

  protected:
    Var forward(Var x) override { return x; }
};

} // namespace cotape::nn

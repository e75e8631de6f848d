#include <cotape/nn/activations.hpp>

#include <fmt/format.h>

namespace cotape::nn {

std::string LeakyRelu::describe() const { return fmt::format("LeakyRelu({})", slope_); }

std::string Gelu::describe() const {
    return options_.approximate == GeluApproximation::tanh ? "Gelu(tanh)" : "Gelu";
}

} // namespace cotape::nn

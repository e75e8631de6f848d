#include <cotape/nn/activations.hpp>

#include <fmt/format.h>

namespace cotape::nn {

std::string LeakyRelu::describe() const { return fmt::format("LeakyRelu({})", slope_); }

} // namespace cotape::nn

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <cotape/nn/sequential.hpp>

namespace CLI {
class App;
}

namespace comparison {

/// The sizes of a net's hidden layers and the activation after each.
struct HiddenLayers {
    std::vector<std::int64_t> sizes;
    std::string activation = "relu";
};

/// The options --hidden, which `meaning` explains, and --activation.
void add_options(CLI::App& app, HiddenLayers& layers, const std::string& meaning);

/// Appends the activation of that name.
void add_activation(cotape::nn::Sequential& net, const std::string& name);

} // namespace comparison

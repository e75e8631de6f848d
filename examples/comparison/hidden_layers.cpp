#include "hidden_layers.hpp"

#include <CLI/CLI.hpp>

#include <cotape/nn/activations.hpp>

#include "options.hpp"

namespace comparison {

using namespace cotape;

void add_options(CLI::App& app, HiddenLayers& layers, const std::string& meaning) {
    app.add_option("--hidden", layers.sizes, meaning)
        ->delimiter(',')->allow_extra_args(false)->check(CLI::Range(1, 100000))->check(require_digits)
        ->type_name("N,N,...")
        ->default_str(CLI::detail::join(layers.sizes, ","));
    app.add_option("--activation", layers.activation, "relu, sigmoid or tanh")
        ->check(CLI::IsMember({"relu", "sigmoid", "tanh"}))->type_name("NAME")->capture_default_str();
}

void add_activation(nn::Sequential& net, const std::string& name) {
    if (name == "relu") net.add(nn::Relu());
    if (name == "sigmoid") net.add(nn::Sigmoid());
    if (name == "tanh") net.add(nn::Tanh());
}

} // namespace comparison

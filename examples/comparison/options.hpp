#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace comparison {

/// What every MNIST example can be told on the command line.
struct Options {
    std::string data = {};
    int epochs = 5;
    std::int64_t batch = 128;
    /// Empty for the optimiser's usual one.
    std::optional<double> learning_rate = {};
    std::string optimizer = "sgd";
    std::string schedule = "constant";
    std::uint32_t seed = 1;
    int threads = 0;
    /// Gradients of a larger joint norm are scaled down to it; empty for no limit.
    std::optional<double> clip_norm = {};
    /// A training loss: the steps that a net takes to it are reported.
    std::optional<double> target_loss = {};
    std::string metrics = {};
    std::string plot = {};

    double rate() const { return learning_rate.value_or(optimizer == "adam" || optimizer == "rmsprop" ? 0.001 : 0.01); }
};

/// Reads the command line into `options` and into what `app` has of its own, which the help shows first. Where it asks
/// for help or is wrong, says so and returns the exit status instead: 0 or 2.
std::optional<int> parse(CLI::App& app, int argc, char** argv, Options& options);

/// For options that are checked: what is wrong with `text` where it is no finite number above 0, else empty.
std::string require_positive(const std::string& text);

/// For options that are checked: what is wrong with `text` where it is no finite number, else empty.
std::string require_number(const std::string& text);

/// For options that are checked: what is wrong with `text` where it is no whole number in decimal digits, else empty.
std::string require_digits(const std::string& text);

/// For options that are checked: what is wrong with `text` where it is empty, and so names no file; else empty.
std::string require_name(const std::string& text);

/// How `--help` ends in every example: where MNIST is looked for, then `examples` of command lines.
std::string footer(const std::string& examples);

} // namespace comparison

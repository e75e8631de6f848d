#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace comparison {

/// What the MNIST examples can be told on the command line.
struct Options {
    std::string data;
    int epochs = 5;
    std::int64_t batch = 128;
    double learning_rate = 0.01;
    std::vector<std::int64_t> hidden{256, 256};
    std::string activation = "relu";
    std::string optimizer = "sgd";
    std::uint32_t seed = 1;
    int threads = 0;
    std::string metrics;
    std::string plot;
};

/// Reads the command line. Where it asks for help or is wrong, says so and returns the exit status instead: 0 or 2.
std::optional<int> parse(int argc, char** argv, Options& options);

} // namespace comparison

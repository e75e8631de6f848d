#pragma once

#include <functional>
#include <vector>

#include "experiment.hpp"

namespace comparison {

/// The whole of an MNIST example after its `app` and the defaults in `options` are set: reads the command line, loads
/// the digits, shows and gradient-checks the nets that `make` makes where they ask for it, trains them all, and writes
/// table, metrics and plot. Returns the exit status: 1 where something failed, 2 for a wrong command line, 130 when
/// interrupted.
int run_program(CLI::App& app, int argc, char** argv, Options options,
                const std::function<std::vector<Contestant>(const Options&)>& make);

} // namespace comparison

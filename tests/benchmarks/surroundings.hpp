#pragma once

#include <string>
#include <utility>
#include <vector>

/// What a measurement depends on besides the code, each with its name: libraries, BLAS core, instruction set, threads.
std::vector<std::pair<std::string, std::string>> surroundings();

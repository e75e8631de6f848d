#pragma once

#include <span>
#include <string>
#include <vector>

#include <cotape/core/var.hpp>
#include <cotape/ops/gradient_check.hpp>

namespace cotape {

/// What keeps a function from being checked, and in words.
struct Hindrance {
    Obstacle obstacle;
    std::string reason;
};

/// Where, on the way from `inputs` to an output that is not finite, the first value that is not comes from.
Hindrance why_not_finite(std::span<const Var> inputs, Var output, const std::vector<std::string>& names = {});

/// What messages call the input: by its name, or "input 2" where it has none.
std::string name_of_input(const std::vector<std::string>& names, std::size_t input);

/// The size of the rounding error of the scalar `phi`, to first order: the roundings of the values on the way from
/// `inputs`, times the slopes of phi with respect to those, taken as independent.
double rounding_error(std::span<const Var> inputs, Var phi);

/// Whether numbers on the way from `inputs` to `outputs` are so small or so large that their products may leave the
/// range of float64, or left it.
bool strains_range(std::span<const Var> inputs, std::span<const Var> outputs);

} // namespace cotape

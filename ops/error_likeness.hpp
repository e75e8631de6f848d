#pragma once

#include <string>
#include <vector>

#include <cotape/core/tensor.hpp>

namespace cotape {

/// Derivatives of a projected function with respect to one of its inputs, `got` all of them and `expected` at some
/// elements, with what their error may depend on.
struct WrongDerivative {
    std::vector<Tensor> inputs;
    std::size_t input = 0;
    Tensor output;
    /// The weights of the output's projection: the cotangent that the rule saw.
    Tensor weights;
    Tensor got;
    struct Sample {
        std::size_t element;
        double expected, bound;
    };
    std::vector<Sample> samples;
};

/// What the error looks like, in words: "a flipped sign", "a missing factor 1/8"; empty where like nothing known.
std::string likeness(const WrongDerivative& wrong);

} // namespace cotape

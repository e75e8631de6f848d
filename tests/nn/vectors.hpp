#pragma once

#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <cotape/core/tensor.hpp>

namespace cotape::testing {

/// The cases of one file of vectors/, which a script beside it wrote.
inline nlohmann::json vectors(const std::string& name) {
    return nlohmann::json::parse(std::ifstream(COTAPE_SOURCE_DIR "/tests/nn/vectors/" + name + ".json"));
}

/// A float64 tensor, written as its shape and its elements.
inline Tensor tensor_of(const nlohmann::json& value) {
    Shape shape;
    for (std::int64_t extent : value["shape"]) shape.push_back(extent);
    return Tensor::of(shape, value["elements"].get<std::vector<double>>());
}

} // namespace cotape::testing

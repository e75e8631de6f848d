#pragma once

#include <random>

#include <cotape/core/tensor.hpp>

namespace cotape::nn {

// Initial weights, float32, each from the generator it is given. For a weight [outputs, inputs, ...] the fan-in is
// inputs times the extents after it, the fan-out outputs times them. Those that depend on it throw ShapeError for
// weights of rank below 2 or without elements.

Tensor uniform(const Shape& shape, double low, double high, std::mt19937& random);
Tensor normal(const Shape& shape, double mean, double deviation, std::mt19937& random);

/// For relu nets: variance 2 / fan_in (He et al. 2015). `gain` replaces sqrt(2) for other activations.
Tensor kaiming_uniform(const Shape& shape, std::mt19937& random, double gain = 1.4142135623730951);
Tensor kaiming_normal(const Shape& shape, std::mt19937& random, double gain = 1.4142135623730951);

/// Variance 2 / (fan_in + fan_out), times gain^2 (Glorot and Bengio 2010).
Tensor xavier_uniform(const Shape& shape, std::mt19937& random, double gain = 1);
Tensor xavier_normal(const Shape& shape, std::mt19937& random, double gain = 1);

/// Rows, or columns where there are fewer, that are orthonormal, times `gain` (Saxe et al. 2014). A weight of higher
/// rank is taken as the matrix [outputs, the rest].
Tensor orthogonal(const Shape& shape, std::mt19937& random, double gain = 1);

} // namespace cotape::nn

#include <cotape/nn/linear.hpp>

#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/matmul.hpp>

namespace cotape::nn {
namespace {

/// How far from 0 weight and bias start.
double initial_bound(std::int64_t inputs, std::int64_t outputs) {
    if (inputs < 1 || outputs < 1)
        throw ValueError(
            fmt::format("Linear: needs at least one input and one output, got {} and {}", inputs, outputs));
    return 1 / std::sqrt(static_cast<double>(inputs));
}

} // namespace

Linear::Linear(std::int64_t inputs, std::int64_t outputs, const LinearOptions& options, std::mt19937& random)
    : WeightedSum(initial_bound(inputs, outputs), {outputs, inputs}, outputs, options.bias, random) {}

std::string Linear::describe() const {
    const Shape& shape = weight().type().shape;
    return fmt::format("Linear({} -> {}{})", shape[1], shape[0], bias() ? "" : ", no bias");
}

Var Linear::forward(Var x) {
    Var factors = x.tape().variable(weight());
    if (x.shape().empty() || x.shape().back() != factors.shape()[1])
        throw ShapeError(fmt::format("Linear: needs [..., {}], got {}", factors.shape()[1], to_string(x.shape())));
    require_dtype(factors, x.dtype());
    Var product = matmul(x, factors, {.transpose_b = true});
    return bias() ? product + x.tape().variable(*bias()) : product;
}

} // namespace cotape::nn

#include <cotape/nn/linear.hpp>

#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/matmul.hpp>

namespace cotape::nn {
namespace {

Tensor initial_weight(std::int64_t inputs, std::int64_t outputs, std::mt19937& random) {
    if (inputs < 1 || outputs < 1)
        throw ValueError(fmt::format("Linear: needs at least one input and one output, got {} and {}", inputs, outputs));
    double bound = 1 / std::sqrt(static_cast<double>(inputs));
    return uniform({outputs, inputs}, -bound, bound, random);
}

} // namespace

Linear::Linear(std::int64_t inputs, std::int64_t outputs, const LinearOptions& options, std::mt19937& random)
    : weight_(initial_weight(inputs, outputs, random)) {
    double bound = 1 / std::sqrt(static_cast<double>(inputs));
    if (options.bias) bias_.emplace(uniform({outputs}, -bound, bound, random));
}

void Linear::visit(Visitor& visitor) {
    visitor("weight", weight_);
    visitor("bias", bias_);
}

std::string Linear::describe() const {
    const Shape& shape = weight_.type().shape;
    return fmt::format("Linear({} -> {}{})", shape[1], shape[0], bias_ ? "" : ", no bias");
}

Var Linear::forward(Var x) {
    Var weight = x.tape().variable(weight_);
    if (x.shape().empty() || x.shape().back() != weight.shape()[1])
        throw ShapeError(fmt::format("Linear: needs [..., {}], got {}", weight.shape()[1], to_string(x.shape())));
    Var product = matmul(x, weight, {.transpose_b = true});
    return bias_ ? product + x.tape().variable(*bias_) : product;
}

} // namespace cotape::nn

#include <cotape/ops/gradient_check.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/derivative_comparison.hpp>
#include <cotape/ops/recorded_values.hpp>

namespace cotape {

GradientCheckReport check_gradients(const CheckedFunction& function, const std::vector<Tensor>& inputs,
                                    const GradientCheckOptions& options) {
    if (options.order && (*options.order < 1 || *options.order > 4))
        throw ValueError(fmt::format("check_gradients: order must be in 1 to 4, got {}", *options.order));
    if (options.directions < 1)
        throw ValueError(fmt::format("check_gradients: needs at least one direction, got {}", options.directions));
    if (options.modes.empty()) throw ValueError("check_gradients: needs at least one mode");
    if (!function) throw ValueError("check_gradients: needs a function, got none");
    if (inputs.empty()) throw ValueError("check_gradients: needs at least one input");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        std::string name = name_of_input(options.input_names, i);
        auto inconclusive = [&](Obstacle obstacle, std::string what) {
            return GradientCheckReport{Verdict::inconclusive, name + " " + what, obstacle, {}, {}, {}};
        };
        if (inputs[i].empty()) throw ValueError(fmt::format("check_gradients: {} is empty", name));
        if (inputs[i].dtype() == Dtype::float32)
            return inconclusive(Obstacle::input_type,
                                "is float32: differences of it would drown in rounding; convert it to float64");
        if (inputs[i].dtype() == Dtype::int64)
            return inconclusive(Obstacle::input_type, "is int64: it has no derivative");
        if (auto element = first_non_finite(inputs[i]))
            return inconclusive(Obstacle::not_finite,
                                fmt::format("is not finite: {} at element {}", inputs[i].at(*element), *element));
    }
    return compare_derivatives(function, inputs, options);
}

GradientCheckReport check_gradients(const Op& op, const std::vector<Tensor>& inputs, const Attributes& attributes,
                                    const GradientCheckOptions& options, Where where) {
    std::vector<Tensor> moving;
    for (const Tensor& input : inputs)
        if (is_floating(input.dtype())) moving.push_back(input);
    auto function = [&](const std::vector<Var>& vars) {
        std::vector<Operand> operands;
        std::size_t next = 0;
        for (const Tensor& input : inputs)
            operands.emplace_back(is_floating(input.dtype()) ? vars[next++] : vars[0].tape().constant(input), where);
        return record(op, operands, attributes);
    };
    GradientCheckOptions of_op = options;
    if (!options.order) of_op.order = 3;
    return check_gradients(function, moving, of_op);
}

} // namespace cotape

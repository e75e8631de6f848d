#include <cotape/ops/recorded_values.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/ancestors.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

constexpr double epsilon = 0x1p-52;

template <class Holds>
bool any_element(const Tensor& value, Holds holds) {
    return value.dtype() == Dtype::float64 && std::ranges::any_of(value.elements<double>(), holds);
}

bool strains(const Tensor& value) {
    return any_element(value, [](double element) {
        double size = std::abs(element);
        return (size > 0 && size < 0x1p-511) || (size > 0x1p511 && std::isfinite(size));
    });
}

double largest_of(const Tensor& value) {
    double largest = 0;
    for (double element : value.elements<double>())
        if (std::isfinite(element)) largest = std::max(largest, std::abs(element));
    return largest;
}

} // namespace

std::string name_of_input(const std::vector<std::string>& names, std::size_t input) {
    return input < names.size() ? names[input] : fmt::format("input {}", input);
}

Hindrance why_not_finite(std::span<const Var> inputs, Var output, const std::vector<std::string>& names) {
    const Tape& tape = output.tape();
    std::vector<std::optional<std::size_t>> reached_by(tape.size());
    for (std::size_t i = 0; i < inputs.size(); ++i)
        reached_by[static_cast<std::size_t>(inputs[i].id())] = i;
    for (NodeId id : ancestors({&output, 1})) {
        const Node& node = tape.node(id);
        std::optional<std::size_t>& input = reached_by[static_cast<std::size_t>(id)];
        for (NodeId operand : node.inputs)
            if (!input) input = reached_by[static_cast<std::size_t>(operand)];
        Tensor value = tape.var(id).value();
        std::optional<std::int64_t> element = first_non_finite(value);
        if (!element) continue;
        double result = value.at(*element);
        if (std::isnan(result)) result = NAN; // of no sign
        std::string what = fmt::format("{} ({}) gives {} at element {}", node.op->name, place_of(tape, node), result,
                                       *element);
        if (node.inputs.size() == 1)
            if (Tensor from = tape.var(node.inputs[0]).value(); from.size() == value.size())
                what += fmt::format(", from {}", from.at(*element));
        if (!input) return {Obstacle::not_finite, "the function is not finite: " + what};
        std::string name = name_of_input(names, *input);
        if (std::isnan(result))
            return {Obstacle::outside_domain, fmt::format("{} lies outside the domain: {}", name, what)};
        return {Obstacle::not_finite, fmt::format("the function is not finite at {}: {}", name, what)};
    }
    return {Obstacle::not_finite, "the function is not finite at its inputs"};
}

double rounding_error(std::span<const Var> inputs, Var phi) {
    Tape& tape = phi.tape();
    std::vector<bool> depends(tape.size());
    for (Var input : inputs) depends[static_cast<std::size_t>(input.id())] = true;
    std::vector<Var> computed;
    for (NodeId id : ancestors({&phi, 1})) {
        const Node& node = tape.node(id);
        if (std::ranges::none_of(node.inputs, [&](NodeId input) { return depends[static_cast<std::size_t>(input)]; }))
            continue;
        depends[static_cast<std::size_t>(id)] = true;
        if (node.type.dtype == Dtype::float64 && node.op->kind != OpKind::view) computed.push_back(tape.var(id));
    }
    Var one = tape.full(phi.shape(), 1, Dtype::float64);
    std::vector<Var> sensitivities = cotangents({&phi, 1}, {&one, 1}, computed);
    double rounding = 0;
    for (std::size_t i = 0; i < computed.size(); ++i) {
        if (!sensitivities[i]) continue;
        const Node& node = computed[i].node();
        Tensor value = computed[i].value(), sensitivity = sensitivities[i].value();
        // Such an op may subtract large elements from each other: log_softmax.
        double within = node.op->kind == OpKind::rowwise ? largest_of(tape.var(node.inputs[0]).value()) : 0;
        for (std::int64_t k = 0; k < value.size(); ++k) {
            double effect = std::max(std::abs(value.at(k)), within) * sensitivity.at(k);
            if (std::isfinite(effect)) rounding = std::hypot(rounding, epsilon * effect);
        }
    }
    return rounding;
}

bool strains_range(std::span<const Var> inputs, std::span<const Var> outputs) {
    const Tape& tape = outputs.front().tape();
    auto is_input = [&](NodeId id) {
        return std::ranges::any_of(inputs, [&](Var input) { return input.id() == id; });
    };
    auto overflows = [&](const Node& node, const Tensor& value) {
        auto explains = [&](NodeId operand) { // an infinity: a division by 0 is no overflow
            return any_element(tape.var(operand).value(), [](double x) { return x == 0 || !std::isfinite(x); });
        };
        return any_element(value, [](double x) { return std::isinf(x); }) &&
               std::ranges::none_of(node.inputs, explains);
    };
    return std::ranges::any_of(ancestors(outputs), [&](NodeId id) {
        const Node& node = tape.node(id);
        if (node.op->kind == OpKind::source && !is_input(id)) return false; // it is as it is meant
        Tensor value = tape.var(id).value();
        return strains(value) || overflows(node, value);
    });
}

} // namespace cotape

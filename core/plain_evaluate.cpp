#include <cotape/core/evaluation.hpp>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/buffer_reuse.hpp>
#include <cotape/core/error.hpp>

namespace cotape {
namespace {

std::string range_of(const Tensor& value) {
    if (value.size() == 0) return to_string(value.type());
    double low = INFINITY, high = -INFINITY;
    for (std::int64_t i = 0; i < value.size(); ++i) {
        low = std::fmin(low, value.at(i));
        high = std::fmax(high, value.at(i));
    }
    return fmt::format("{} in [{:g}, {:g}]", to_string(value.type()), low, high);
}

std::string first_non_finite_of(const Tape& tape, const Node& node, const Tensor& value, std::int64_t position) {
    return fmt::format("{}: the first value that is not finite: {} at element {} of {}, recorded at {}", node.op->name,
                       value.at(position), position, to_string(value.type()), place_of(tape, node));
}

/// Throws where `value`, just computed for `node`, is not finite. If a constant or a variable among the inputs is not
/// finite, it is what the message names.
void require_finite(const Tape& tape, const Node& node, const Tensor& value) {
    std::optional<std::int64_t> position = first_non_finite(value);
    if (!position) return;
    for (NodeId input : node.inputs)
        if (std::optional<std::int64_t> at = first_non_finite(tape.computed(input)))
            throw NonFiniteError(fmt::format("{}; read by {} at {}",
                                             first_non_finite_of(tape, tape.node(input), tape.computed(input), *at),
                                             node.op->name, place_of(tape, node)));
    std::string message = first_non_finite_of(tape, node, value, *position);
    if (node.derivative_of >= 0)
        message += fmt::format(", in the derivative of {}", tape.node(node.derivative_of).op->name);
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
        message += fmt::format("{} {}", i == 0 ? "; inputs:" : ",", range_of(tape.computed(node.inputs[i])));
    throw NonFiniteError(message);
}

} // namespace

Tensor compute_node(const Tape& tape, const Node& node, const std::function<MutableTensor()>& room) {
    SmallVector<const Type*, 4> types;
    std::vector<Tensor> inputs;
    inputs.reserve(node.inputs.size());
    for (NodeId input : node.inputs) {
        types.push_back(&tape.node(input).type);
        inputs.push_back(tape.computed(input));
    }
    Call call{*node.op, node.attributes, types};
    if (node.op->fill) {
        MutableTensor output = room();
        const std::byte* memory = output.bytes();
        node.op->fill(call, inputs, output);
        if (output.bytes() != memory || !(output.type() == node.type))
            throw ValueError(fmt::format("{}: its fill must write to the memory that it is given", node.op->name));
        return std::move(output).freeze();
    }
    Tensor value = node.op->kernel(call, node.type, inputs);
    if (value.empty() || !(value.type() == node.type))
        throw ValueError(fmt::format("{}: its kernel must return {}, got {}", node.op->name, to_string(node.type),
                                     value.empty() ? "an empty tensor" : to_string(value.type())));
    return value;
}

Tensor compute_node(const Tape& tape, const Node& node) {
    return compute_node(tape, node, [&] { return MutableTensor(node.type); });
}

void evaluate_plain(const Evaluation& evaluation) {
    Tape& tape = evaluation.tape;
    auto plan = std::make_shared<FusionPlan>();
    for (NodeId id : evaluation.needed) plan->units.push_back({.node = id, .dying = {}});
    plan_reuse(*plan, tape, evaluation.requested, {});
    for (const PlanUnit& unit : plan->units) {
        const Node& node = tape.node(unit.node);
        Tensor value = compute_node(tape, node);
        if (tape.options().check_finite) require_finite(tape, node, value);
        tape.set_computed(unit.node, std::move(value));
        if (evaluation.keep == Keep::requested)
            for (NodeId id : unit.dying) tape.set_computed(id, Tensor());
    }
    tape.set_latest_evaluation({std::move(plan), evaluation.keep == Keep::requested, tape.size()});
}

} // namespace cotape

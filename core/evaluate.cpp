#include <cotape/core/evaluate.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/fused_evaluate.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

/// The nodes without a value that `vars` need, in recording order.
std::vector<NodeId> nodes_to_compute(const Tape& tape, std::span<const Var> vars) {
    NodeId last = -1;
    std::vector<NodeId> pending;
    for (Var var : vars) {
        last = std::max(last, var.id());
        pending.push_back(var.id());
    }
    std::vector<bool> seen(static_cast<std::size_t>(last + 1));
    std::vector<NodeId> needed;
    while (!pending.empty()) {
        NodeId id = pending.back();
        pending.pop_back();
        if (seen[static_cast<std::size_t>(id)] || !tape.computed(id).empty()) continue;
        seen[static_cast<std::size_t>(id)] = true;
        needed.push_back(id);
        for (NodeId input : tape.node(id).inputs) pending.push_back(input);
    }
    std::ranges::sort(needed);
    return needed;
}

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

/// How often each of `needed` will still be read; what was computed before, or is requested, is never let go.
std::vector<std::int32_t> count_readers(const Tape& tape, const std::vector<NodeId>& needed,
                                        std::span<const Var> requested) {
    constexpr std::int32_t kept = -1;
    std::vector<std::int32_t> readers(static_cast<std::size_t>(needed.back()) + 1, kept);
    for (NodeId id : needed) readers[static_cast<std::size_t>(id)] = 0;
    for (Var var : requested)
        if (var.id() <= needed.back()) readers[static_cast<std::size_t>(var.id())] = kept;
    for (NodeId id : needed)
        for (NodeId input : tape.node(id).inputs)
            if (readers[static_cast<std::size_t>(input)] != kept) ++readers[static_cast<std::size_t>(input)];
    return readers;
}

bool fuses(const TapeOptions& options) {
    static const bool by_environment = [] {
        const char* choice = std::getenv("COTAPE_EVALUATOR");
        if (!choice || std::string_view(choice) == "fused") return true;
        if (std::string_view(choice) == "plain") return false;
        throw ValueError(fmt::format("evaluate: COTAPE_EVALUATOR must be plain or fused, got {}", choice));
    }();
    if (options.check_finite) return false;
    return options.evaluator == Evaluator::automatic ? by_environment : options.evaluator == Evaluator::fused;
}

} // namespace

Tensor compute_node(const Tape& tape, const Node& node) {
    SmallVector<const Type*, 4> types;
    std::vector<Tensor> inputs;
    inputs.reserve(node.inputs.size());
    for (NodeId input : node.inputs) {
        types.push_back(&tape.node(input).type);
        inputs.push_back(tape.computed(input));
    }
    Tensor value = node.op->kernel({*node.op, node.attributes, types}, node.type, inputs);
    if (value.empty() || !(value.type() == node.type))
        throw ValueError(fmt::format("{}: its kernel must return {}, got {}", node.op->name, to_string(node.type),
                                     value.empty() ? "an empty tensor" : to_string(value.type())));
    return value;
}

void evaluate(std::span<const Var> vars, Keep keep) {
    if (vars.empty()) return;
    Tape& tape = vars.front().tape();
    tape.check_thread();
    for (Var var : vars) {
        if (&var.tape() != &tape) throw TapeError("evaluate: the variables are on two tapes");
        var.node();
    }
    std::vector<NodeId> needed = nodes_to_compute(tape, vars);
    if (needed.empty()) return;
    if (needed.size() > 1 && fuses(tape.options())) return evaluate_fused(tape, needed, vars, keep);
    std::vector<std::int32_t> readers;
    if (keep == Keep::requested) readers = count_readers(tape, needed, vars);

    for (NodeId id : needed) {
        const Node& node = tape.node(id);
        Tensor value = compute_node(tape, node);
        if (tape.options().check_finite) require_finite(tape, node, value);
        tape.set_computed(id, std::move(value));
        if (keep == Keep::all) continue;
        for (NodeId input : node.inputs) {
            std::int32_t& left = readers[static_cast<std::size_t>(input)];
            if (left > 0 && --left == 0) tape.set_computed(input, Tensor());
        }
    }
}

Tensor Var::value() const {
    node();
    Tape& owner = tape();
    owner.check_thread();
    if (owner.computed(id_).empty()) evaluate({this, 1});
    return owner.computed(id_);
}

} // namespace cotape

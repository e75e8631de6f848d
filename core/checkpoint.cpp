#include <cotape/core/checkpoint.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

Tensor first_input(const Call&, const Type&, std::span<const Tensor> inputs) { return inputs[0]; }
Type first_type(const Call& call) { return call.type(0); }

/// An input as the function sees it, with a number for each checkpoint: what is recorded from it is the function's own.
const Op enter_op{
    .name = "enter_checkpoint",
    .type = first_type,
    .kernel = first_input,
    .derivative = [](const Rule& rule) { return rule.g; },
    .kind = OpKind::view,
};

/// A value that is there already, as the second computation reads it. The cotangent that it takes as well keeps any
/// evaluator from beginning before the reverse pass has come there.
const Op resume_op{
    .name = "resume_checkpoint",
    .type = first_type,
    .kernel = first_input,
    .derivative = [](const Rule& rule) { return rule.input == 0 ? rule.g : Var(); },
    .kind = OpKind::view,
};

/// A cotangent as it leaves the second computation: the sum of several is not to reach back into what they come from,
/// which would be kept for it (Op::sum).
const Op leave_op{
    .name = "leave_checkpoint",
    .type = first_type,
    .kernel = first_input,
    .derivative = [](const Rule& rule) { return rule.g; },
    .kind = OpKind::view,
};

extern const Op checkpoint_op;

/// How many of a checkpoint's inputs, after the first, are those of its function.
std::size_t count_of(const Attributes& attributes) { return static_cast<std::size_t>(attributes.integer("inputs")); }

/// The nodes on the way from some nodes to an output, in recording order, and what else they read. A checkpoint on the
/// way is part of it with all that its function recorded: only as a whole can it be differentiated when recorded again.
struct Section {
    std::vector<NodeId> nodes;
    std::vector<NodeId> outside;
};

Section section_between(const Tape& tape, std::span<const NodeId> begin, NodeId end) {
    Section section;
    NodeId first = *std::ranges::min_element(begin);
    if (end < first) return section;
    auto at = [&](NodeId id) { return static_cast<std::size_t>(id - first); };
    std::vector<bool> depends(at(end) + 1), seen(at(end) + 1), is_begin(at(end) + 1);
    for (NodeId id : begin)
        if (id <= end) depends[at(id)] = is_begin[at(id)] = true;
    for (bool grown = true; grown;) {
        grown = false;
        for (NodeId id = first; id <= end; ++id) {
            const Node& node = tape.node(id);
            for (NodeId input : node.inputs)
                if (input >= first && depends[at(input)]) depends[at(id)] = true;
            if (!depends[at(id)] || node.op != &checkpoint_op) continue;
            for (std::size_t i = 1; i <= count_of(node.attributes); ++i) {
                if (depends[at(node.inputs[i])]) continue;
                depends[at(node.inputs[i])] = grown = true;
            }
        }
    }
    if (!depends[at(end)]) return section;
    std::vector<NodeId> pending{end};
    while (!pending.empty()) {
        NodeId id = pending.back();
        pending.pop_back();
        if (id < first || !depends[at(id)]) {
            section.outside.push_back(id);
        } else if (!seen[at(id)]) {
            seen[at(id)] = true;
            if (is_begin[at(id)]) continue;
            section.nodes.push_back(id);
            for (NodeId input : tape.node(id).inputs) pending.push_back(input);
        }
    }
    std::ranges::sort(section.nodes);
    std::ranges::sort(section.outside);
    auto repeated = std::ranges::unique(section.outside);
    section.outside.erase(repeated.begin(), repeated.end());
    return section;
}

/// Records the nodes that lead to `end` again, each for the line and the module of the first time, with other nodes in
/// place of those in `replaced`.
Var record_again(Tape& tape, const Section& section, std::unordered_map<NodeId, Var>& replaced, NodeId end) {
    for (NodeId id : section.nodes) {
        DerivativeScope scope(tape, id);
        const Node& node = tape.node(id);
        std::vector<Operand> inputs;
        for (NodeId input : node.inputs) {
            auto found = replaced.find(input);
            inputs.emplace_back(found == replaced.end() ? tape.var(input) : found->second);
        }
        replaced[id] = record(*node.op, inputs, node.attributes);
    }
    return replaced.at(end);
}

/// The inputs of a checkpoint: the function's output, its inputs as it saw them, and the floating values that it read
/// besides.
std::vector<Var> checkpoint_derivative(const Rule& rule, std::span<const std::size_t> wanted) {
    Tape& tape = rule.y.tape();
    std::size_t count = count_of(rule.attributes);
    std::vector<NodeId> begin;
    std::unordered_map<NodeId, Var> replaced;
    std::vector<Var> resumed(rule.x.size());
    for (std::size_t i = 1; i < rule.x.size(); ++i) {
        std::vector<Operand> operands{rule.x[i]};
        if (!rule.g.node().symbolic) operands.push_back(rule.g); // which would have to be computed for that
        resumed[i] = record(resume_op, operands);
        replaced[rule.x[i].id()] = resumed[i];
        if (i <= count) begin.push_back(rule.x[i].id());
    }
    NodeId end = rule.x[0].id();
    Var again = record_again(tape, section_between(tape, begin, end), replaced, end);
    std::vector<Var> targets, result(wanted.size());
    std::vector<std::size_t> places;
    std::unordered_set<NodeId> known;
    for (std::size_t k = 0; k < wanted.size(); ++k) {
        std::size_t i = wanted[k];
        if (i == 0 || !known.insert(resumed[i].id()).second) continue; // what is given twice gets its cotangent once
        targets.push_back(resumed[i]);
        places.push_back(k);
    }
    std::vector<Var> found = cotangents({&again, 1}, {&rule.g, 1}, targets);
    for (std::size_t k = 0; k < found.size(); ++k)
        if (found[k]) result[places[k]] = record(leave_op, {found[k]});
    return result;
}

const Op checkpoint_op{
    .name = "checkpoint",
    .type = first_type,
    .kernel = first_input,
    .joint_derivative = checkpoint_derivative,
    .kind = OpKind::view,
};

} // namespace

Var checkpoint(const VarFunction& function, std::span<const Var> inputs, Where where) {
    if (!function) throw ValueError("checkpoint: needs a function, got none");
    if (inputs.empty()) throw ValueError("checkpoint: needs at least one input");
    Tape& tape = inputs.front().tape();
    Tape::Transaction transaction(tape);
    std::vector<Var> entered;
    std::vector<NodeId> begin;
    std::int64_t number = static_cast<std::int64_t>(tape.size());
    for (Var input : inputs) {
        if (&input.tape() != &tape) throw TapeError("checkpoint: its inputs are on two tapes");
        entered.push_back(record(enter_op, {Operand(input, where)}, {{"number", number}}));
        begin.push_back(entered.back().id());
    }
    Var output = function(entered);
    if (&output.tape() != &tape) throw TapeError("checkpoint: the function's result is on another tape");
    Section section = section_between(tape, begin, output.id());
    bool depends = !section.nodes.empty() || std::ranges::find(begin, output.id()) != begin.end();
    if (depends) {
        std::vector<Operand> operands{Operand(output, where)};
        operands.insert(operands.end(), entered.begin(), entered.end());
        for (NodeId id : section.outside)
            if (is_floating(tape.node(id).type.dtype)) operands.emplace_back(tape.var(id));
        output = record(checkpoint_op, operands, {{"inputs", static_cast<std::int64_t>(inputs.size())}});
    }
    transaction.keep();
    return output;
}

Var checkpoint(const VarFunction& function, std::initializer_list<Var> inputs, Where where) {
    return checkpoint(function, std::span<const Var>(inputs.begin(), inputs.size()), where);
}

bool is_checkpoint(const Node& node) { return node.op == &checkpoint_op; }

} // namespace cotape

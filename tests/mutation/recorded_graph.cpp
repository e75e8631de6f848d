#include "recorded_graph.hpp"

#include <algorithm>
#include <map>

#include <cotape/core/ancestors.hpp>

using namespace cotape;

RecordedGraph::RecordedGraph(Var output, const std::vector<Var>& inputs) : input_count_(inputs.size()) {
    const Tape& tape = output.tape();
    std::map<NodeId, std::size_t> step_of;
    auto add = [&](NodeId id) {
        const Node& node = tape.node(id);
        Step step{node.op, {}, node.attributes, node.type, tape.var(id).value(), node.where, tape.module_path(node)};
        for (NodeId input : node.inputs) step.inputs.push_back(step_of.at(input));
        step_of[id] = steps_.size();
        steps_.push_back(std::move(step));
    };
    for (Var input : inputs) add(input.id());
    for (NodeId id : ancestors({&output, 1}))
        if (!step_of.contains(id)) add(id);
}

Var RecordedGraph::operator()(const std::vector<Var>& inputs) const {
    Tape& tape = inputs.front().tape();
    std::vector<Var> vars(inputs);
    for (std::size_t i = input_count_; i < steps_.size(); ++i) {
        const Step& step = steps_[i];
        if (step.op->kind == OpKind::source && step.attributes.has("value")) {
            vars.push_back(tape.full(step.type.shape, step.attributes.real("value"), step.type.dtype, step.where));
        } else if (step.op->kind == OpKind::source) {
            vars.push_back(tape.constant(step.value, step.where));
        } else {
            std::vector<Operand> operands;
            for (std::size_t input : step.inputs) operands.emplace_back(vars[input], step.where);
            Tape::ModuleScope scope(tape, step.module, step.where);
            vars.push_back(record(*step.op, operands, step.attributes));
        }
    }
    return vars.back();
}

RecordedGraph RecordedGraph::with(std::size_t step, const Op& op) const {
    RecordedGraph copy = *this;
    copy.steps_[step].op = &op;
    return copy;
}

bool RecordedGraph::moves(std::size_t step) const {
    return step < input_count_ || std::ranges::any_of(steps_[step].inputs, [&](std::size_t i) { return moves(i); });
}

#include "rule_mutations.hpp"

#include <algorithm>
#include <cmath>

#include <cotape/core/error.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/projections.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

using namespace cotape;
using Change = RuleMutation::Change;

namespace {

bool is_one_of(const Node& node, std::initializer_list<const char*> names) {
    return std::ranges::any_of(names, [&](const char* name) { return node.op->name == name; });
}

bool is_frontier(const Rule& rule, Var var) {
    return is_same(var, rule.y) || is_same(var, rule.g) ||
           std::ranges::any_of(rule.x, [&](Var x) { return is_same(var, x); });
}

/// Whether `var` depends on `on` through the rule's own expression.
bool depends(const Rule& rule, Var var, Var on) {
    if (is_same(var, on)) return true;
    if (is_frontier(rule, var)) return false;
    return std::ranges::any_of(var.node().inputs, [&](NodeId id) { return depends(rule, var.tape().var(id), on); });
}

/// n where a constant is 1/n or 2/n, or n itself.
double count_in(double value) {
    for (double count : {1 / std::abs(value), 2 / std::abs(value), std::abs(value)})
        if (count > 1.5 && count < 1000 && std::abs(count - std::round(count)) < 1e-9) return std::round(count);
    return 0;
}

struct Named {
    Change change;
    const char* description;
};

/// The changes that make sense at `var`, a place inside the rule's expression.
std::vector<Named> changes_at(const Rule& rule, Var var) {
    std::vector<Named> changes;
    bool of_g = depends(rule, var, rule.g);
    bool of_inputs = depends(rule, var, rule.y) ||
                     std::ranges::any_of(rule.x, [&](Var x) { return depends(rule, var, x); });
    if (!of_g && of_inputs && is_floating(var.dtype())) changes.push_back({Change::save, "saved as a constant"});
    if (is_frontier(rule, var)) return changes;
    const Node& node = var.node();
    if (is_one_of(node, {"multiply"}))
        changes.insert(changes.end(),
                       {{Change::keep_first, "second factor dropped"}, {Change::keep_second, "first factor dropped"}});
    if (is_one_of(node, {"divide"}))
        changes.insert(changes.end(), {{Change::keep_first, "divisor dropped"}, {Change::swap, "operands swapped"}});
    if (is_one_of(node, {"add"}))
        changes.insert(changes.end(),
                       {{Change::keep_first, "second term removed"}, {Change::keep_second, "first term removed"}});
    if (is_one_of(node, {"subtract"}))
        changes.insert(changes.end(), {{Change::keep_first, "second term removed"},
                                       {Change::keep_second, "first term removed"},
                                       {Change::swap, "operands swapped"}});
    if (is_one_of(node, {"negate"})) changes.push_back({Change::keep_first, "sign dropped"});
    if (is_one_of(node, {"where"})) changes.push_back({Change::swap, "branches swapped"});
    if (is_one_of(node, {"sum"}))
        changes.insert(changes.end(), {{Change::mean_for_sum, "a mean in its place"},
                                       {Change::slice_for_sum, "one element in its place"}});
    if (is_one_of(node, {"mean", "batch_mean"})) changes.push_back({Change::sum_for_mean, "a sum in its place"});
    if (is_one_of(node, {"matmul"}))
        changes.insert(changes.end(), {{Change::swap, "operands swapped"}, {Change::untranspose, "transposed"}});
    if (is_one_of(node, {"permute"})) changes.push_back({Change::untranspose, "not transposed"});
    if (is_one_of(node, {"full"}) && count_in(node.attributes.real("value")) > 1)
        changes.push_back({Change::count_less, "n - 1 in place of n"});
    return changes;
}

Var stretched(Var var, Var like) {
    if (element_count(var.shape()) > element_count(like.shape())) return sum_to(var, like.shape());
    return broadcast_to(var, like.shape());
}

/// One element along each reduced axis, in the shape of the sum.
Var first_along(Var sum, Var x) {
    for (std::int64_t axis : sum.node().attributes.integers("axes")) x = slice(x, axis, 0, 1);
    return reshape(x, sum.shape());
}

Var changed(Var var, Change change) {
    Tape& tape = var.tape();
    std::vector<Var> inputs;
    for (NodeId id : var.node().inputs) inputs.push_back(tape.var(id));
    const Op& op = *var.node().op;
    Attributes attributes = var.node().attributes;
    switch (change) {
    case Change::negate: return -var;
    case Change::scale: return 1.01 * var;
    case Change::double_: return 2 * var;
    case Change::drop: return {};
    case Change::keep_first: return stretched(inputs[0], var);
    case Change::keep_second: return stretched(inputs[1], var);
    case Change::swap:
        if (op.name == "where") return where(inputs[0], inputs[2], inputs[1]);
        return record(op, {inputs[1], inputs[0]}, attributes);
    case Change::untranspose:
        if (op.name == "permute") return reshape(inputs[0], var.shape());
        return record(op, {inputs[0], inputs[1]},
                      {{"transpose_a", !attributes.flag("transpose_a")},
                       {"transpose_b", !attributes.flag("transpose_b")}});
    case Change::mean_for_sum: {
        double count =
            static_cast<double>(element_count(inputs[0].shape())) / static_cast<double>(element_count(var.shape()));
        return var / count;
    }
    case Change::slice_for_sum: return first_along(var, inputs[0]);
    case Change::sum_for_mean: {
        double count =
            static_cast<double>(element_count(inputs[0].shape())) / static_cast<double>(element_count(var.shape()));
        return var * count;
    }
    case Change::count_less: {
        double value = attributes.real("value"), count = count_in(value);
        bool divides = std::abs(value) < 1.5 || count != std::abs(value);
        return tape.full(var.shape(), value * (divides ? count / (count - 1) : (count - 1) / count), var.dtype());
    }
    case Change::save: break;
    }
    return tape.constant(var.value());
}

/// The expression `var` of a rule with a change at the end of `path`; unchanged where the path leaves the expression or
/// ends at another op.
Var rebuilt(const Rule& rule, Var var, std::span<const std::size_t> path, const RuleMutation& mutation) {
    if (path.empty()) return mutation.op && mutation.op != var.node().op ? var : changed(var, mutation.change);
    if (is_frontier(rule, var) || path.front() >= var.node().inputs.size()) return var;
    std::vector<Operand> operands;
    for (NodeId id : var.node().inputs) operands.emplace_back(var.tape().var(id));
    operands[path.front()] = rebuilt(rule, operands[path.front()].var, path.subspan(1), mutation);
    return record(*var.node().op, operands, var.node().attributes);
}

void collect(const Rule& rule, Var var, std::vector<std::size_t>& path, std::vector<RuleMutation>& result) {
    for (const Named& named : changes_at(rule, var)) {
        std::string place = is_same(var, rule.y) ? "y" : is_frontier(rule, var) ? "x" : var.node().op->name;
        result.push_back({rule.input, path, named.change, var.node().op, place + ": " + named.description});
    }
    if (is_frontier(rule, var)) return;
    for (std::size_t i = 0; i < var.node().inputs.size(); ++i) {
        path.push_back(i);
        collect(rule, var.tape().var(var.node().inputs[i]), path, result);
        path.pop_back();
    }
}

} // namespace

std::vector<RuleMutation> mutations(const Op& op, const Attributes& attributes, const std::vector<Tensor>& inputs,
                                    std::size_t input) {
    Tape tape;
    std::vector<Var> x;
    for (const Tensor& tensor : inputs) x.push_back(tape.variable(tensor));
    Var y = record(op, std::vector<Operand>(x.begin(), x.end()), attributes);
    Var g = tape.variable(Tensor::full(y.shape(), 1, Dtype::float64));
    Rule rule{y, g, x, input, attributes};
    Var cotangent = op.derivative(rule);
    std::vector<RuleMutation> result;
    if (!cotangent) return result;
    result.push_back({input, {}, Change::negate, nullptr, "sign flipped"});
    result.push_back({input, {}, Change::scale, nullptr, "1 % too much"});
    result.push_back({input, {}, Change::double_, nullptr, "twice as much"});
    result.push_back({input, {}, Change::drop, nullptr, "missing path"});
    std::vector<std::size_t> path;
    collect(rule, cotangent, path, result);
    return result;
}

Op mutant(const Op& op, const RuleMutation& mutation) {
    Op copy = op;
    copy.name = "mutant of " + op.name;
    copy.derivative = [original = op.derivative, mutation](const Rule& rule) {
        Var cotangent = original(rule);
        if (!cotangent || rule.input != mutation.input) return cotangent;
        return rebuilt(rule, cotangent, mutation.path, mutation);
    };
    return copy;
}

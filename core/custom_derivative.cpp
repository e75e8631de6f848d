#include <cotape/core/custom_derivative.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>

#include <fmt/format.h>

#include <cotape/core/draws.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

constexpr const char* own_rule = "own_rule";

/// The rule's cotangents, each of the type of its input, or empty.
std::vector<Var> apply_rule(const DerivativeRule& rule, const std::string& name, Var y, Var g,
                            const std::vector<Var>& x) {
    std::vector<Var> result = rule(y, g, x);
    if (result.size() != x.size())
        throw ValueError(
            fmt::format("{}: its derivative must give {} cotangents, got {}", name, x.size(), result.size()));
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (!result[i] || result[i].type() == x[i].type()) continue;
        std::string message = fmt::format("{}: its derivative for input {} must be {}, got {}", name, i,
                                          to_string(x[i].type()), to_string(result[i].type()));
        if (result[i].dtype() != x[i].dtype()) throw DtypeError(message);
        throw ShapeError(message);
    }
    return result;
}

/// The inputs are the function's output, which has no derivative here, and the function's inputs.
std::shared_ptr<const Op> make_op(const DerivativeRule& rule, const std::string& name) {
    return std::make_shared<const Op>(Op{
        .name = name,
        .type = [](const Call& call) { return call.type(0); },
        .kernel = [](const Call&, const Type&, std::span<const Tensor> inputs) { return inputs[0]; },
        .joint_derivative =
            [rule, name](const Rule& node, std::span<const std::size_t> wanted) {
                std::vector<Var> x(node.x.begin() + 1, node.x.end()), all = apply_rule(rule, name, node.y, node.g, x);
                std::vector<Var> result;
                for (std::size_t i : wanted) result.push_back(i == 0 ? Var() : all[i - 1]);
                return result;
            },
        .kind = OpKind::view,
    });
}

/// Throws where `output` is computed from a variable otherwise than through `inputs`.
void require_no_other_variables(const Tape& tape, Var output, const std::vector<Var>& inputs, const std::string& name) {
    std::vector<NodeId> pending{output.id()};
    std::vector<bool> seen(static_cast<std::size_t>(output.id()) + 1);
    for (Var input : inputs)
        if (input.id() <= output.id()) seen[static_cast<std::size_t>(input.id())] = true;
    while (!pending.empty()) {
        NodeId id = pending.back();
        pending.pop_back();
        if (seen[static_cast<std::size_t>(id)]) continue;
        seen[static_cast<std::size_t>(id)] = true;
        const Node& node = tape.node(id);
        if (node.op->kind == OpKind::source && node.op->name == "variable")
            throw ValueError(
                fmt::format("{}: reads a variable of {} that is not among its inputs", name, place_of(tape, node)));
        for (NodeId input : node.inputs) pending.push_back(input);
    }
}

Tensor random_like(const Type& type) {
    std::mt19937 random(1);
    return Tensor::make<double>(type.shape, [&](std::span<double> elements) {
               for (double& element : elements) element = draw_uniform(random, 0.5, 1.5) * (random() & 1 ? 1 : -1);
           }).as(type.dtype);
}

void check_rule(const DerivativeRule& rule, const std::string& name, Var own_output, Var y, const std::vector<Var>& x) {
    Tape& tape = y.tape();
    Tape::Transaction never_kept(tape);
    Var g = tape.constant(random_like(y.type()));
    std::vector<Var> supplied = apply_rule(rule, name, y, g, x);
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (!is_floating(x[i].dtype())) continue;
        Tensor own = gradient(own_output, x[i], g).value();
        Tensor got = supplied[i] ? supplied[i].value() : Tensor::full(own.shape(), 0, own.dtype());
        double largest = 0;
        for (std::int64_t k = 0; k < own.size(); ++k)
            if (std::isfinite(own.at(k))) largest = std::fmax(largest, std::fabs(own.at(k)));
        double epsilon = own.dtype() == Dtype::float32 ? std::numeric_limits<float>::epsilon()
                                                       : std::numeric_limits<double>::epsilon();
        for (std::int64_t k = 0; k < own.size(); ++k)
            if (std::isfinite(own.at(k)) && !(std::fabs(got.at(k) - own.at(k)) <= std::sqrt(epsilon) * largest))
                throw ValueError(
                    fmt::format("{}: its derivative for input {} is {} at element {}, the function's own is {}", name,
                                i, got.at(k), k, own.at(k)));
    }
}

} // namespace

VarFunction with_derivative(VarFunction function, DerivativeRule rule, const CustomDerivativeOptions& options,
                            Where where) {
    if (!function) throw ValueError(fmt::format("{}: needs a function, got none", options.name));
    if (!rule) throw ValueError(fmt::format("{}: needs a derivative, got none", options.name));
    std::shared_ptr<const Op> op = make_op(rule, options.name);
    return [=, function = std::move(function), rule = std::move(rule)](const std::vector<Var>& inputs) {
        if (inputs.empty()) throw ValueError(fmt::format("{}: needs at least one input", op->name));
        Tape& tape = inputs.front().tape();
        Tape::Transaction transaction(tape);
        Var output = function(inputs);
        if (&output.tape() != &tape) throw TapeError(fmt::format("{}: its result is on another tape", op->name));
        require_no_other_variables(tape, output, inputs, op->name);
        std::vector<Operand> operands{Operand(output, where)};
        operands.insert(operands.end(), inputs.begin(), inputs.end());
        Var y = record(*op, operands, {{own_rule, true}});
        tape.retain(op);
        if (options.check) check_rule(rule, op->name, output, y, inputs);
        transaction.keep();
        return y;
    };
}

bool has_own_rule(const Node& node) { return node.attributes.has(own_rule); }

} // namespace cotape

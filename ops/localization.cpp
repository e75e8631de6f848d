#include <cotape/ops/localization.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include <cotape/core/ancestors.hpp>
#include <cotape/core/checkpoint.hpp>
#include <cotape/core/custom_derivative.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/error_likeness.hpp>
#include <cotape/ops/finite_differences.hpp>

namespace cotape {
namespace {

/// What a function with a rule of its own (with_derivative) recorded from its inputs, to be recorded again.
struct RecordedFunction {
    struct Step {
        NodeId id;
        const Op* op;
        Attributes attributes;
        std::vector<NodeId> inputs;
    };
    std::vector<NodeId> inputs;
    std::vector<Step> steps;
    /// The values that the steps read besides.
    std::unordered_map<NodeId, Tensor> constants;
    NodeId output;

    RecordedFunction(const Tape& tape, const Node& node)
        : inputs(node.inputs.begin() + 1, node.inputs.end()), output(node.inputs[0]) {
        std::unordered_set<NodeId> known(inputs.begin(), inputs.end());
        auto is_known = [&](NodeId id) { return known.contains(id); };
        Var end = tape.var(output);
        for (NodeId id : ancestors({&end, 1})) {
            const Node& step = tape.node(id);
            if (is_known(id) || std::ranges::none_of(step.inputs, is_known)) continue;
            steps.push_back({id, step.op, step.attributes, {step.inputs.begin(), step.inputs.end()}});
            for (NodeId input : step.inputs)
                if (!is_known(input)) constants[input] = tape.var(input).value();
            known.insert(id);
        }
        if (!is_known(output)) constants[output] = end.value();
    }

    Var operator()(Tape& tape, const std::vector<Operand>& operands) const {
        std::unordered_map<NodeId, Var> vars;
        for (std::size_t i = 0; i < inputs.size(); ++i) vars[inputs[i]] = operands[i].var;
        auto var_of = [&](NodeId id) { return vars.contains(id) ? vars.at(id) : tape.constant(constants.at(id)); };
        for (const Step& step : steps) {
            std::vector<Operand> read;
            for (NodeId input : step.inputs) read.emplace_back(var_of(input));
            vars[step.id] = record(*step.op, read, step.attributes);
        }
        return var_of(output);
    }
};

/// One recorded application of an op, with values of its own, apart from the tape that it was recorded on; or one of a
/// function with a rule of its own.
struct Application {
    const Op* op;
    Attributes attributes;
    std::optional<RecordedFunction> function;
    std::vector<Tensor> inputs;
    /// Which of the inputs depend on the function's.
    std::vector<std::size_t> moving;
    Where where;
    std::string module;
    /// Whether the function itself applied the op, not a derivative rule.
    bool of_function;

    std::vector<Tensor> moving_inputs() const {
        std::vector<Tensor> tensors;
        for (std::size_t input : moving) tensors.push_back(inputs[input]);
        return tensors;
    }
    Var operator()(const std::vector<Var>& vars) const {
        std::vector<Operand> operands;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            auto found = std::ranges::find(moving, i);
            operands.push_back(found == moving.end() ? vars[0].tape().constant(inputs[i])
                                                     : vars[static_cast<std::size_t>(found - moving.begin())]);
        }
        if (function) operands.insert(operands.begin(), (*function)(vars[0].tape(), operands));
        return record(*op, operands, attributes);
    }
};

/// Of more applications alike than this the rest is not tested.
constexpr int tested_alike = 2;

std::vector<Application> applications(const Projections& projections, int order) {
    Projections::Recording recording = projections.record(order);
    const Tape& tape = recording.phi.tape();
    std::vector<bool> depends(tape.size()), differentiated(tape.size());
    for (Var root : {recording.output, recording.phi}) differentiated[static_cast<std::size_t>(root.id())] = true;
    for (NodeId id = recording.phi.id(); id >= 0; --id) {
        const Node& node = tape.node(id);
        if (!differentiated[static_cast<std::size_t>(id)]) continue;
        // A rule of its own stands in for those of what the function recorded.
        for (std::size_t i = has_own_rule(node) ? 1 : 0; i < node.inputs.size(); ++i)
            differentiated[static_cast<std::size_t>(node.inputs[i])] = true;
    }
    for (Var input : recording.inputs) depends[static_cast<std::size_t>(input.id())] = true;
    std::vector<NodeId> tested;
    std::vector<Var> needed;
    auto alike = [&](NodeId a, NodeId b) {
        const Node &one = tape.node(a), &other = tape.node(b);
        auto same_type = [&](NodeId x, NodeId y) { return tape.node(x).type == tape.node(y).type; };
        return one.op == other.op && one.attributes == other.attributes &&
               (one.derivative_of < 0) == (other.derivative_of < 0) &&
               std::ranges::equal(one.inputs, other.inputs, same_type);
    };
    for (NodeId id = 0; id <= recording.phi.id(); ++id) {
        const Node& node = tape.node(id);
        if (!differentiated[static_cast<std::size_t>(id)]) continue;
        if (std::ranges::none_of(node.inputs, [&](NodeId input) { return depends[static_cast<std::size_t>(input)]; }))
            continue;
        depends[static_cast<std::size_t>(id)] = node.op->is_differentiable(); // what a mask depends on, it masks
        if (is_checkpoint(node)) continue; // alone it means something else
        if (node.type.dtype != Dtype::float64 ||
            std::ranges::count_if(tested, [&](NodeId other) { return alike(id, other); }) >= tested_alike)
            continue;
        tested.push_back(id);
        for (NodeId input : node.inputs) needed.push_back(tape.var(input));
    }
    evaluate(needed);

    std::vector<Application> result;
    for (NodeId id : tested) {
        const Node& node = tape.node(id);
        Application application{node.op, node.attributes, {}, {}, {}, node.where, tape.module_path(node),
                                node.derivative_of < 0};
        if (has_own_rule(node)) application.function.emplace(tape, node);
        for (std::size_t i = application.function ? 1 : 0; i < node.inputs.size(); ++i) {
            Tensor value = tape.var(node.inputs[i]).value();
            if (value.dtype() == Dtype::float64 && depends[static_cast<std::size_t>(node.inputs[i])])
                application.moving.push_back(application.inputs.size());
            application.inputs.push_back(std::move(value));
        }
        if (!application.moving.empty()) result.push_back(std::move(application));
    }
    return result;
}

GradientCheckReport test(const Application& application, int order, std::int64_t element_limit) {
    return check_gradients(application, application.moving_inputs(),
                           {.order = order,
                            .modes = {DerivativeMode::reverse, DerivativeMode::forward},
                            .element_limit = element_limit,
                            .directions = 1,
                            .localize = false});
}

/// Elements to look at: all of a small input, lines through two elements along each axis of a large one.
std::vector<std::size_t> samples_of(const Shape& shape) {
    constexpr std::int64_t all = 64, along = 12;
    std::vector<std::size_t> samples;
    std::int64_t count = element_count(shape), stride = 1;
    if (count <= all) {
        for (std::int64_t i = 0; i < count; ++i) samples.push_back(static_cast<std::size_t>(i));
        return samples;
    }
    for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis])
        for (std::int64_t origin : {count / 3, 2 * count / 3})
            for (std::int64_t i = 0; i < std::min(along, shape[axis]); ++i) {
                std::int64_t first = origin - origin / stride % shape[axis] * stride;
                samples.push_back(static_cast<std::size_t>(first + i * stride));
            }
    std::ranges::sort(samples);
    samples.erase(std::unique(samples.begin(), samples.end()), samples.end());
    return samples;
}

/// The first derivative with respect to one element, as sharp as differences give it.
DerivativeEstimate expected_derivative(const Projections& projections, double at_zero, double noise, std::size_t input,
                                       std::size_t element) {
    auto begin = static_cast<std::int64_t>(element);
    DerivativeEstimate best{.bound = INFINITY};
    for (double share : {0x1p-8, 0x1p-14}) {
        auto line = [&](double t) { return projections.moved(1, input, begin, begin + 1, t); };
        DerivativeEstimate estimate = differentiate(line, at_zero, share, noise);
        if (estimate.finite && estimate.bound < best.bound) best = estimate;
    }
    best.value /= projections.element_size(input, begin);
    best.bound /= projections.element_size(input, begin);
    return best;
}

std::string likeness_of(const Application& application, std::size_t moving) {
    Projections projections(application, application.moving_inputs(), 1);
    if (projections.hindrance()) return "";
    Projections::Point point = projections.derivatives(1);
    double noise = 0x1p-50 * point.scale;
    WrongDerivative wrong{application.inputs, application.moving[moving], projections.record(1).output.value(),
                          projections.weights(), point.gradient[moving], {}};
    for (std::size_t element : samples_of(wrong.got.shape())) {
        DerivativeEstimate expected = expected_derivative(projections, point.value, noise, moving, element);
        if (std::isfinite(expected.bound)) wrong.samples.push_back({element, expected.value, expected.bound});
    }
    return likeness(wrong);
}

WrongRule describe(const Application& application, const GradientCheckReport& along_directions) {
    GradientCheckReport report = test(application, along_directions.findings.front().order, 64);
    if (report.findings.empty()) report = along_directions;
    auto size = [](const GradientFinding& finding) {
        return std::isfinite(finding.error) ? finding.error : INFINITY;
    };
    GradientFinding worst = *std::ranges::max_element(report.findings, {}, size);
    std::size_t moving = worst.input;
    worst.input = application.moving[moving];
    std::string resembles;
    if (worst.order > 1) // the rule is right, and so are those it is written with
        resembles = "a value of the forward pass that was saved as a constant";
    else if (worst.mode == DerivativeMode::reverse)
        resembles = likeness_of(application, moving);
    return {application.op->name, application.where.file_name(), application.where.line(), application.module, worst,
            resembles};
}

/// Constants that differ where the inputs do.
std::vector<WrongRule> moving_constants(const Projections& projections, const GradientFinding& finding) {
    struct Entry {
        const Op* op;
        Tensor constant;
    };
    auto entries = [&](const Projections::Recording& recording) {
        std::vector<Entry> entries;
        const Tape& tape = recording.phi.tape();
        for (std::size_t id = 0; id < tape.size(); ++id) {
            const Node& node = tape.node(static_cast<NodeId>(id));
            bool is_constant = node.op->kind == OpKind::source && node.attributes.has("storage");
            entries.push_back({node.op, is_constant ? tape.computed(static_cast<NodeId>(id)) : Tensor()});
        }
        return entries;
    };
    std::vector<Entry> moved = entries(projections.record_moved(1, 0x1p-8));
    Projections::Recording recording = projections.record(1);
    std::vector<Entry> here = entries(recording);
    std::vector<WrongRule> result;
    const Tape& tape = recording.phi.tape();
    if (moved.size() != here.size()) return result;
    for (std::size_t id = 0; id < here.size(); ++id) {
        const Tensor &a = here[id].constant, &b = moved[id].constant;
        if (here[id].op != moved[id].op || a.empty() || b.empty() || !(a.type() == b.type())) continue;
        if (std::memcmp(a.bytes_begin(), b.bytes_begin(), a.bytes()) == 0) continue;
        const Node& node = tape.node(static_cast<NodeId>(id));
        result.push_back({node.op->name, node.where.file_name(), node.where.line(), tape.module_path(node), finding,
                          "a value that depends on the inputs, recorded as a constant"});
    }
    return result;
}

} // namespace

std::vector<WrongRule> wrong_rules(const Projections& projections, const GradientFinding& finding) {
    std::vector<Application> suspects = applications(projections, finding.order);
    std::vector<WrongRule> result;
    auto test_all = [&](int order, bool of_function) {
        for (const Application& suspect : suspects) {
            if (of_function && !suspect.of_function) continue;
            try {
                GradientCheckReport report = test(suspect, order, 0);
                if (report.verdict == Verdict::fail) result.push_back(describe(suspect, report));
            } catch (const std::exception&) {
                continue; // alone it means nothing: the others are looked at all the same
            }
        }
    };
    test_all(1, false);
    if (result.empty() && finding.order > 1) test_all(finding.order, true);
    if (result.empty()) result = moving_constants(projections, finding);
    return result;
}

} // namespace cotape

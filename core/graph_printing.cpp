#include <cotape/core/graph_printing.hpp>

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/ancestors.hpp>
#include <cotape/core/error.hpp>

namespace cotape {
namespace {

/// Some nodes of a tape, in recording order.
struct Selection {
    const Tape* tape;
    std::vector<NodeId> nodes;
};

Selection whole(const Tape& tape) {
    tape.check_thread();
    std::vector<NodeId> nodes(tape.size());
    std::iota(nodes.begin(), nodes.end(), 0);
    return {&tape, std::move(nodes)};
}

Selection needed_by(std::span<const Var> vars, const char* operation) {
    if (vars.empty()) return {nullptr, {}};
    const Tape& tape = vars.front().tape();
    tape.check_thread();
    for (Var var : vars)
        if (&var.tape() != &tape) throw TapeError(fmt::format("{}: the variables are on two tapes", operation));
    return {&tape, ancestors(vars)};
}

/// What sets this application of its op apart. Of sources that is a value; the rest is the tape's own bookkeeping.
std::string attributes_of(const Node& node) {
    if (node.op->kind != OpKind::source) return node.attributes.to_string();
    return node.attributes.has("value") ? fmt::format("value={:g}", node.attributes.real("value")) : std::string();
}

std::string line_of(const Tape& tape, NodeId id) {
    const Node& node = tape.node(id);
    std::string arguments;
    for (NodeId input : node.inputs) arguments += fmt::format("{}%{}", arguments.empty() ? "" : ", ", input);
    std::string attributes = attributes_of(node);
    if (!arguments.empty() && !attributes.empty()) arguments += ", ";
    std::string line = fmt::format("%{} = {}({}{}) : {} at {}", id, node.op->name, arguments, attributes,
                                   to_string(node.type), place_of(tape, node));
    if (node.derivative_of >= 0)
        line += fmt::format(", derivative of {} %{}", tape.node(node.derivative_of).op->name, node.derivative_of);
    return line + '\n';
}

std::string text_of(const Selection& selection) {
    std::string text;
    for (NodeId id : selection.nodes) text += line_of(*selection.tape, id);
    return text;
}

/// `text` as a string of the dot language.
std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (char c : text) {
        if (c == '\n') {
            result += "\\n";
            continue;
        }
        if (c == '"' || c == '\\') result += '\\';
        result += c;
    }
    return result + '"';
}

std::string dot_node(const Tape& tape, NodeId id) {
    const Node& node = tape.node(id);
    std::string label = node.op->name, tooltip = fmt::format("%{} at {}", id, place_of(tape, node)), style;
    if (std::string attributes = attributes_of(node); !attributes.empty()) label += '\n' + attributes;
    label += '\n' + to_string(node.type);
    if (node.op->kind == OpKind::source) style += ", shape=ellipse";
    if (node.derivative_of >= 0) {
        style += ", style=dashed, color=blue, fontcolor=blue";
        tooltip += fmt::format(", derivative of {} %{}", tape.node(node.derivative_of).op->name, node.derivative_of);
    }
    return fmt::format("n{} [label={}, tooltip={}{}];\n", id, quoted(label), quoted(tooltip), style);
}

using ModulePath = std::vector<std::string_view>;

ModulePath parts_of(std::string_view path) {
    ModulePath parts;
    while (!path.empty()) {
        std::size_t dot = std::min(path.find('.'), path.size());
        parts.push_back(path.substr(0, dot));
        path.remove_prefix(std::min(dot + 1, path.size()));
    }
    return parts;
}

/// All nodes, each inside the clusters of its module path.
std::string dot_clusters(const Selection& selection) {
    std::vector<std::pair<ModulePath, NodeId>> placed;
    for (NodeId id : selection.nodes)
        placed.emplace_back(parts_of(selection.tape->module_path(selection.tape->node(id))), id);
    std::ranges::stable_sort(placed, {}, [](const auto& entry) -> const ModulePath& { return entry.first; });

    std::string text;
    ModulePath open;
    int clusters = 0;
    auto indentation = [&] { return std::string(2 * (open.size() + 1), ' '); };
    auto close_to = [&](std::size_t depth) {
        while (open.size() > depth) {
            open.pop_back();
            text += indentation() + "}\n";
        }
    };
    for (const auto& [path, id] : placed) {
        auto [left, right] = std::ranges::mismatch(open, path);
        close_to(static_cast<std::size_t>(left - open.begin()));
        while (open.size() < path.size()) {
            text += fmt::format("{}subgraph cluster_{} {{\n", indentation(), clusters++);
            open.push_back(path[open.size()]);
            text += fmt::format("{}label={};\n", indentation(), quoted(open.back()));
        }
        text += indentation() + dot_node(*selection.tape, id);
    }
    close_to(0);
    return text;
}

std::string dot_of(const Selection& selection) {
    std::string text = "digraph tape {\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n"
                       "  graph [fontname=\"sans-serif\", fontsize=10, style=rounded, color=gray];\n";
    text += dot_clusters(selection);
    for (NodeId id : selection.nodes) {
        const Node& node = selection.tape->node(id);
        for (NodeId input : node.inputs)
            text += fmt::format("  n{} -> n{}{};\n", input, id,
                                node.derivative_of >= 0 ? " [style=dashed, color=blue]" : "");
    }
    return text + "}\n";
}

std::span<const Var> span_of(const std::initializer_list<Var>& vars) { return {vars.begin(), vars.size()}; }

} // namespace

std::string to_text(const Tape& tape) { return text_of(whole(tape)); }
std::string to_text(std::span<const Var> vars) { return text_of(needed_by(vars, "to_text")); }
std::string to_text(std::initializer_list<Var> vars) { return to_text(span_of(vars)); }

std::string to_dot(const Tape& tape) { return dot_of(whole(tape)); }
std::string to_dot(std::span<const Var> vars) { return dot_of(needed_by(vars, "to_dot")); }
std::string to_dot(std::initializer_list<Var> vars) { return to_dot(span_of(vars)); }

} // namespace cotape

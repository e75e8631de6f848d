#include <cotape/core/evaluation.hpp>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/cpu.hpp>
#include <cotape/core/error.hpp>

namespace cotape {
namespace {

/// The nodes without a value that `requested` needs, in recording order.
std::vector<NodeId> nodes_to_compute(const Tape& tape, std::span<const NodeId> requested) {
    // Clear between two uses, and never shrinking: what it costs to look at the end of a tape does not depend on its
    // length.
    thread_local std::vector<char> marks;
    std::vector<NodeId> needed;
    NodeId last = std::ranges::max(requested);
    try {
        if (marks.size() <= static_cast<std::size_t>(last)) marks.resize(static_cast<std::size_t>(last) + 1);
        char* marked = marks.data(); // it takes a call to find what is a thread's own
        std::size_t pending = 0;
        auto mark = [&](NodeId id) {
            char& mark_of = marked[id];
            if (mark_of || tape.is_computed(id)) return;
            mark_of = true;
            ++pending;
        };
        for (NodeId id : requested) mark(id);
        for (NodeId id = last; pending > 0; --id) {
            if (!marked[id]) continue;
            needed.push_back(id);
            marked[id] = false;
            --pending;
            for (NodeId input : tape.node(id).inputs) mark(input);
        }
    } catch (...) {
        marks.clear();
        throw;
    }
    std::ranges::reverse(needed);
    return needed;
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

void evaluate(std::span<const Var> vars, Keep keep, std::span<const NodeId> expendable) {
    if (vars.empty()) return;
    Tape& tape = vars.front().tape();
    tape.check_thread();
    std::vector<NodeId> requested;
    requested.reserve(vars.size());
    for (Var var : vars) {
        if (&var.tape() != &tape) throw TapeError("evaluate: the variables are on two tapes");
        var.node();
        requested.push_back(var.id());
    }
    std::vector<NodeId> needed = nodes_to_compute(tape, requested);
    if (needed.empty()) return;
    cpu_level(); // where it throws, no thread computes yet
    Evaluation evaluation{tape, needed, requested, keep, expendable};
    if (needed.size() > 1 && fuses(tape.options()))
        evaluate_fused(evaluation);
    else
        evaluate_plain(evaluation);
}

void evaluate(std::span<const Var> vars, Keep keep) { evaluate(vars, keep, {}); }

Tensor Var::value() const {
    node();
    Tape& owner = tape();
    owner.check_thread();
    if (!owner.is_computed(id_)) evaluate({this, 1});
    return owner.computed(id_);
}

} // namespace cotape

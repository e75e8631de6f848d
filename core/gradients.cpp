#include <cotape/core/gradients.hpp>

#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {

/// The one operation that the engine knows (ops/arithmetic.cpp), beside the sums that an op offers itself (Op::sum).
Var operator+(Operand a, Operand b);

namespace {

void require_same_type(Var required, Var arrived, const char* role) {
    if (required.dtype() != arrived.dtype())
        throw DtypeError(fmt::format("{} must be {}, got {}", role, to_string(required.type()),
                                     to_string(arrived.type())));
    if (!(required.shape() == arrived.shape()))
        throw ShapeError(fmt::format("{} must be {}, got {}", role, to_string(required.type()),
                                     to_string(arrived.type())));
}

void require_differentiable(Var var) {
    if (!is_floating(var.dtype()))
        throw DtypeError(fmt::format("gradients: cannot differentiate with {} elements", to_string(var.dtype())));
}

/// The nodes from the first x on, and which of them depend on some x through differentiable ops: those that have a
/// cotangent.
class Dependents {
  public:
    Dependents(const Tape& tape, NodeId last, std::span<const Var> xs) {
        first_ = last + 1;
        for (Var x : xs) first_ = std::min(first_, x.id());
        flags_.resize(static_cast<std::size_t>(last + 1 - first_));
        for (Var x : xs)
            if (x.id() <= last) flags_[static_cast<std::size_t>(x.id() - first_)] = true;
        for (NodeId id = first_; id <= last; ++id) {
            const Node& node = tape.node(id);
            bool depends = std::ranges::any_of(node.inputs, [this](NodeId input) { return contains(input); });
            if (depends && is_floating(node.type.dtype) && node.op->is_differentiable())
                flags_[static_cast<std::size_t>(id - first_)] = true;
        }
    }
    NodeId first() const { return first_; }
    bool contains(NodeId id) const { return id >= first_ && flags_[static_cast<std::size_t>(id - first_)]; }

  private:
    NodeId first_;
    std::vector<char> flags_;
};

/// Puts the sum of those terms that are outputs of one op, `terms[first]` among them, in the place of that one, where
/// the op has a cheaper sum than adding.
void join_outputs(std::vector<Var>& terms, std::size_t first) {
    const Op* op = terms[first].node().op;
    auto is_output = [op](Var term) { return term.node().op == op; };
    if (!op->sum || std::any_of(terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(first), is_output)) return;
    std::vector<Var> outputs;
    std::ranges::copy_if(terms | std::views::reverse, std::back_inserter(outputs), is_output);
    if (outputs.size() < 2) return;
    Var joined = op->sum(outputs);
    if (!joined) return;
    std::erase_if(terms, is_output);
    terms.insert(terms.begin() + static_cast<std::ptrdiff_t>(first), joined);
}

/// The cotangents met so far, by node: the only place where they are added up.
class Accumulator {
  public:
    /// With `join`, cotangents are summed as their ops offer it.
    Accumulator(Tape& tape, NodeId first, NodeId last, bool join)
        : tape_(tape), first_(first), join_(join), entries_(static_cast<std::size_t>(last + 1 - first)) {}

    /// Takes in a cotangent of node `id` that comes from node `user`.
    void add(NodeId id, Var cotangent, NodeId user) {
        Entry& entry = entries_[static_cast<std::size_t>(id - first_)];
        entry.user = user;
        if (entry.sum < 0) {
            entry.sum = cotangent.id();
            return;
        }
        if (entry.terms < 0) {
            entry.terms = static_cast<std::int32_t>(terms_.size());
            terms_.push_back({tape_.var(entry.sum)});
        }
        terms_[static_cast<std::size_t>(entry.terms)].push_back(cotangent);
    }
    /// The sum of a node's cotangents, recorded now if there are several; empty where there is none.
    Var of(NodeId id) {
        std::size_t i = static_cast<std::size_t>(id - first_);
        if (id < first_ || i >= entries_.size()) return Var();
        Entry& entry = entries_[i];
        if (entry.terms >= 0) {
            DerivativeScope scope(tape_, entry.user);
            entry.sum = total(std::exchange(terms_[static_cast<std::size_t>(entry.terms)], {})).id();
            entry.terms = -1;
        }
        return entry.sum < 0 ? Var() : tape_.var(entry.sum);
    }

  private:
    struct Entry {
        NodeId sum = -1;
        /// Where the terms of a sum that is not recorded yet are; -1 for none.
        std::int32_t terms = -1;
        /// Where the last term comes from: the sum carries its line.
        NodeId user = -1;
    };

    Var total(std::vector<Var> terms) const {
        for (std::size_t i = 0; join_ && i < terms.size(); ++i) join_outputs(terms, i);
        Var sum = terms.front();
        for (std::size_t i = 1; i < terms.size(); ++i) sum = sum + terms[i];
        return sum;
    }

    Tape& tape_;
    NodeId first_;
    bool join_;
    std::vector<Entry> entries_;
    std::vector<std::vector<Var>> terms_;
};

/// Asks the op of node `id`, whose cotangent is `g`, for those of the inputs that depend on some x.
void propagate(Tape& tape, NodeId id, Var g, const Dependents& dependents, Accumulator& sums) {
    const Node& node = tape.node(id);
    DerivativeScope scope(tape, id);
    Var y = tape.var(id);
    SmallVector<Var, 4> inputs;
    SmallVector<std::size_t, 4> wanted;
    for (NodeId input : node.inputs) {
        if (dependents.contains(input)) wanted.push_back(inputs.size());
        inputs.push_back(tape.var(input));
    }
    if (wanted.empty()) return;
    std::vector<Var> jointly;
    if (node.op->joint_derivative)
        jointly = node.op->joint_derivative({y, g, inputs, wanted[0], node.attributes}, wanted);
    for (std::size_t k = 0; k < wanted.size(); ++k) {
        std::size_t i = wanted[k];
        Var cotangent = node.op->joint_derivative ? jointly.at(k)
                                                  : node.op->derivative({y, g, inputs, i, node.attributes});
        if (!cotangent) continue;
        if (&cotangent.tape() != &tape)
            throw TapeError(fmt::format("gradients: the derivative of {} for its input {} is on another tape",
                                        node.op->name, i));
        NodeId input = inputs[i].id();
        if (!(tape.node(cotangent.id()).type == tape.node(input).type))
            require_same_type(inputs[i], cotangent,
                              fmt::format("gradients: the derivative of {} for its input {}", node.op->name, i)
                                  .c_str());
        sums.add(input, cotangent, id);
    }
}

/// Stands for the cotangent of `y` in a reverse pass that is about to be differentiated with respect to it. It has no
/// elements: a derivative is linear in its cotangent, so nothing that is left in the end reads it.
const Op cotangent_op{
    .name = "cotangent",
    .type = [](const Call& call) { return *call.inputs[0]; },
    .kernel = [](const Call&, const Type&, std::span<const Tensor>) -> Tensor {
        throw TapeError("jvp: a derivative on the way is not linear in its cotangent");
    },
    .kind = OpKind::symbolic,
};

/// The cotangents of xs. Joined sums multiply terms by terms: where `join` is false, each term stays linear in the
/// seeds.
std::vector<Var> reverse_pass(std::span<const Var> ys, std::span<const Var> seeds, std::span<const Var> xs, bool join) {
    if (ys.empty() || xs.empty()) return std::vector<Var>(xs.size());
    Tape& tape = ys.front().tape();
    NodeId last = 0;
    for (Var var : xs) {
        if (&var.tape() != &tape) throw TapeError("gradients: the variables are on two tapes");
        require_differentiable(var);
    }
    for (std::size_t i = 0; i < ys.size(); ++i) {
        if (&ys[i].tape() != &tape || &seeds[i].tape() != &tape)
            throw TapeError("gradients: the variables are on two tapes");
        require_differentiable(ys[i]);
        require_same_type(ys[i], seeds[i], "gradients: the seed");
        last = std::max(last, ys[i].id());
    }

    Tape::Transaction transaction(tape);
    Dependents dependents(tape, last, xs);
    Accumulator sums(tape, std::min(dependents.first(), last), last, join);
    for (std::size_t i = 0; i < ys.size(); ++i)
        if (dependents.contains(ys[i].id())) sums.add(ys[i].id(), seeds[i], ys[i].id());
    for (NodeId id = last; id >= dependents.first(); --id)
        if (Var g = sums.of(id); g && tape.node(id).op->is_differentiable()) propagate(tape, id, g, dependents, sums);
    transaction.keep();

    std::vector<Var> result;
    for (Var x : xs) result.push_back(sums.of(x.id()));
    return result;
}

} // namespace

std::vector<Var> cotangents(std::span<const Var> ys, std::span<const Var> seeds, std::span<const Var> xs) {
    return reverse_pass(ys, seeds, xs, true);
}

std::vector<Var> gradients(Var y, std::span<const Var> xs, Var seed) {
    if (element_count(y.shape()) != 1 && !seed)
        throw ShapeError(fmt::format("gradients: needs a scalar, or a seed of the output's shape; got {}",
                                     to_string(y.shape())));
    Tape& tape = y.tape();
    Tape::Transaction transaction(tape);
    DerivativeScope scope(tape, y.id());
    if (!seed) seed = tape.full(y.shape(), 1, y.dtype());
    std::vector<Var> result = cotangents({&y, 1}, {&seed, 1}, xs);
    for (std::size_t i = 0; i < xs.size(); ++i)
        if (!result[i]) result[i] = tape.full(xs[i].shape(), 0, xs[i].dtype());
    transaction.keep();
    return result;
}

std::vector<Var> gradients(Var y, std::initializer_list<Var> xs, Var seed) {
    return gradients(y, std::span<const Var>(xs.begin(), xs.size()), seed);
}

Var gradient(Var y, Var x, Var seed) { return gradients(y, {x}, seed).front(); }

std::vector<Var> vjp(Var y, std::span<const Var> xs, Var cotangent) {
    require_same_type(y, cotangent, "vjp: the cotangent");
    return gradients(y, xs, cotangent);
}

Var vjp(Var y, Var x, Var cotangent) { return vjp(y, std::span<const Var>(&x, 1), cotangent).front(); }

Var jvp(Var y, std::span<const Var> xs, std::span<const Var> tangents) {
    if (xs.size() != tangents.size())
        throw ValueError(
            fmt::format("jvp: needs one tangent for each of {} inputs, got {}", xs.size(), tangents.size()));
    for (std::size_t i = 0; i < xs.size(); ++i) require_same_type(xs[i], tangents[i], "jvp: the tangent");
    y.node();
    Tape& tape = y.tape();
    Tape::Transaction transaction(tape);
    DerivativeScope scope(tape, y.id());
    Var cotangent = record(cotangent_op, {y});
    std::vector<Var> reverse = reverse_pass({&y, 1}, {&cotangent, 1}, xs, false);
    std::vector<Var> outputs, seeds;
    for (std::size_t i = 0; i < xs.size(); ++i) {
        if (!reverse[i]) continue;
        outputs.push_back(reverse[i]);
        seeds.push_back(tangents[i]);
    }
    Var result = cotangents(outputs, seeds, {&cotangent, 1}).front();
    if (!result) result = tape.full(y.shape(), 0, y.dtype());
    transaction.keep();
    return result;
}

Var jvp(Var y, Var x, Var tangent) { return jvp(y, std::span<const Var>(&x, 1), std::span<const Var>(&tangent, 1)); }

Var hvp(Var y, Var x, Var direction) {
    Tape::Transaction transaction(y.tape());
    Var result = gradient(gradient(y, x), x, direction);
    transaction.keep();
    return result;
}

} // namespace cotape

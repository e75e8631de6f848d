#include <cotape/core/tape.hpp>

#include <algorithm>
#include <cmath>
#include <mutex>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape {
namespace {

/// Anchors are handed from tape to tape and never freed, so that a stale Var can always look at its own.
class Anchors {
  public:
    TapeAnchor* take(Tape* tape) {
        std::lock_guard lock(mutex_);
        if (free_.empty()) {
            all_.push_back(std::make_unique<TapeAnchor>());
            free_.reserve(all_.size());
            free_.push_back(all_.back().get());
        }
        TapeAnchor* anchor = free_.back();
        free_.pop_back();
        anchor->tape = tape;
        return anchor;
    }
    void give_back(TapeAnchor* anchor) {
        std::lock_guard lock(mutex_);
        anchor->tape = nullptr;
        ++anchor->generation;
        free_.push_back(anchor);
    }

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<TapeAnchor>> all_;
    std::vector<TapeAnchor*> free_;
};

Anchors& anchors() {
    static Anchors& instance = *new Anchors;
    return instance;
}

Tensor no_kernel(const Call& call, const Type&, std::span<const Tensor>) {
    throw TapeError(fmt::format("{}: its value is gone: a commit wrote a state's new value over it", call.name()));
}

Type no_type(const Call& call) {
    throw TapeError(fmt::format("{}: can only be recorded by its tape", call.name()));
}

/// Of what matters to how a node of `hash` is computed. Kernels count too: another op may come to lie where `op` did.
std::uint64_t signature_of(const Op& op, const Type& type, std::uint64_t hash) {
    bool is_float = type.dtype == Dtype::float32;
    std::uint64_t tile = reinterpret_cast<std::uintptr_t>(is_float ? op.tile_float32 : op.tile_float64);
    std::uint64_t row = reinterpret_cast<std::uintptr_t>(is_float ? op.row_float32 : op.row_float64);
    std::uint64_t fold = reinterpret_cast<std::uintptr_t>(op.fold);
    std::uint64_t traits = static_cast<std::uint64_t>(op.kind);
    for (std::uint64_t trait : {std::uint64_t(op.stretches), std::uint64_t(op.view != nullptr),
                                std::uint64_t(op.arithmetic), std::uint64_t(type.dtype)})
        traits = 8 * traits + trait;
    std::uint64_t kernels = mix_hash(mix_hash(tile, row), mix_hash(fold, traits));
    std::uint64_t signature = mix_hash(op.kind == OpKind::source ? 1 : hash, kernels);
    for (std::int64_t extent : type.shape) signature = mix_hash(signature, static_cast<std::uint64_t>(extent));
    return signature;
}

/// The part of a hash that its place in the table does not give away.
std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

const Op constant_op{.name = "constant", .type = no_type, .kernel = no_kernel, .kind = OpKind::source};
const Op variable_op{.name = "variable", .type = no_type, .kernel = no_kernel, .kind = OpKind::source};
const Op full_op{.name = "full",
                 .type = no_type,
                 .kernel = [](const Call& call, const Type& output, std::span<const Tensor>) {
                     return Tensor::full(output.shape, call.attributes.real("value"), output.dtype);
                 },
                 .kind = OpKind::source};

} // namespace

// -- Var -------------------------------------------------------------------------------------------------------------

Tape& Var::tape_of_before() const {
    if (!anchor_) throw TapeError("var: used before it was given a value");
    if (!anchor_->tape || generation_ < anchor_->tape->first_generation_)
        throw TapeError("var: its tape was cleared or destroyed");
    if (!anchor_->tape->holds(generation_, id_)) throw TapeError("var: its recording was rolled back");
    return *anchor_->tape;
}

bool Var::is_recorded() const { return anchor_ && anchor_->tape && anchor_->tape->holds(generation_, id_); }

const Node& Var::node() const { return tape().node(id_); }

const Type& Var::type() const { return node().type; }

// -- Tape ------------------------------------------------------------------------------------------------------------

Tape::Tape(TapeOptions options)
    : options_(options), anchor_(anchors().take(this)), first_generation_(anchor_->generation) {}

Tape::~Tape() { anchors().give_back(anchor_); }

void Tape::check_thread() const {
    if (std::this_thread::get_id() != thread_)
        throw TapeError("tape: used from a thread other than the one that made it");
}

void Tape::clear() {
    check_thread();
    first_generation_ = ++anchor_->generation;
    rollbacks_.clear();
    nodes_.truncate(0);
    std::ranges::fill(hashed_, Slot());
    computed_.truncate(0);
    latest_evaluation_ = {};
    readings_.clear();
    reading_of_.clear();
    set_proposals({});
    retained_.clear();
}

Var Tape::constant(Tensor value, Where where) {
    if (value.empty()) throw ValueError("constant: the tensor is empty");
    Attributes identity{{"storage", static_cast<std::int64_t>(value.identity())}};
    NodeId id = record_node(constant_op, {}, identity, &value.type(), where);
    set_computed(id, std::move(value));
    return var(id);
}

Var Tape::variable(Tensor value, Where where) {
    if (value.empty()) throw ValueError("variable: the tensor is empty");
    NodeId id = record_node(variable_op, {}, {{"number", ++variables_}}, &value.type(), where);
    set_computed(id, std::move(value));
    return var(id);
}

const Tape::Reading* Tape::reading(const State& state) const {
    auto found = reading_of_.find(state.id());
    return found == reading_of_.end() ? nullptr : &readings_[found->second];
}

void Tape::add_reading(Reading reading) {
    reading_of_.emplace(reading.state.id(), readings_.size());
    readings_.push_back(std::move(reading));
}

const Tape::Proposal* Tape::proposal(const State& state) const {
    auto found = proposal_of_.find(state.id());
    return found == proposal_of_.end() ? nullptr : &proposals_[found->second];
}

void Tape::set_proposals(std::vector<Proposal> proposals) {
    proposals_ = std::move(proposals);
    proposal_of_.clear();
    for (std::size_t i = 0; i < proposals_.size(); ++i) proposal_of_.emplace(proposals_[i].state.id(), i);
}

Var Tape::variable(const State& state, Where where) {
    if (const Reading* known = reading(state)) {
        if (known->version != state.version())
            throw TapeError("variable: the state has changed since this tape read it; record each step on a new tape");
        return var(known->node);
    }
    Var read = variable(state.value(), where);
    add_reading({state, read.id(), state.version()});
    return read;
}

void Tape::bind(const State& state, Var value) {
    if (&value.tape() != this) throw TapeError("bind: the value is on another tape");
    if (!(value.shape() == state.type().shape))
        throw ShapeError(fmt::format("bind: the state holds {}, got {}", to_string(state.type()),
                                     to_string(value.type())));
    if (!is_floating(value.dtype()))
        throw DtypeError(fmt::format("bind: needs a floating value, got {}", to_string(value.type())));
    if (reading(state)) throw TapeError("bind: the tape has read the state already");
    add_reading({state, value.id(), state.version()});
}

Var Tape::full(const Shape& shape, double value, Dtype dtype, Where where) {
    require_representable(value, dtype, "full");
    Type type{shape, dtype};
    return var(record_node(full_op, {}, {{"value", value}}, &type, where));
}

void Tape::propose(const State& state, Var value, const ProposalOptions& options) {
    if (&value.tape() != this) throw TapeError("propose: the value is on another tape");
    const Type& held = variable(state).type();
    if (value.dtype() != held.dtype)
        throw DtypeError(fmt::format("propose: the state holds {}, got {}", to_string(held), to_string(value.type())));
    if (!(value.shape() == held.shape))
        throw ShapeError(fmt::format("propose: the state holds {}, got {}", to_string(held), to_string(value.type())));
    auto [place, added] = proposal_of_.try_emplace(state.id(), proposals_.size());
    Proposal made{state, value.id(), options.in_place};
    if (added)
        proposals_.push_back(std::move(made));
    else
        proposals_[place->second] = std::move(made);
}

bool Tape::has_proposal(const State& state) const { return proposal(state) != nullptr; }

Var Tape::proposed(const State& state, Where where) {
    if (const Proposal* made = proposal(state)) return var(made->value);
    return variable(state, where);
}

// -- Recording -------------------------------------------------------------------------------------------------------

NodeId Tape::find(std::uint64_t hash, const Op& op, std::span<const NodeId> inputs, const Attributes& attributes,
                  const Type* type) const {
    if (hashed_.empty()) return -1;
    for (std::size_t position = hash & (hashed_.size() - 1);; position = (position + 1) & (hashed_.size() - 1)) {
        Slot slot = hashed_[position];
        if (slot.id < 0) return -1;
        if (slot.tag != tag_of(hash)) continue;
        const Node& known = node(slot.id);
        if (known.hash == hash && known.op == &op && std::ranges::equal(known.inputs, inputs) &&
            known.attributes == attributes && (!type || known.type == *type))
            return slot.id;
    }
}

void Tape::insert_hashed(NodeId id, std::uint64_t hash) {
    std::size_t position = hash & (hashed_.size() - 1);
    while (hashed_[position].id >= 0) position = (position + 1) & (hashed_.size() - 1);
    hashed_[position] = {id, tag_of(hash)};
}

void Tape::rehash(std::size_t slots) {
    hashed_.assign(slots, Slot());
    for (std::size_t i = 0; i < nodes_.size(); ++i) insert_hashed(static_cast<NodeId>(i), nodes_[i].hash);
}

NodeId Tape::record_node(const Op& op, std::span<const NodeId> inputs, const Attributes& attributes, const Type* type,
                         Where where) {
    check_thread();
    std::uint64_t hash = mix_hash(reinterpret_cast<std::uintptr_t>(&op), attributes.hash());
    for (NodeId input : inputs) hash = mix_hash(hash, static_cast<std::uint64_t>(input));
    if (NodeId known = find(hash, op, inputs, attributes, type); known >= 0) return known;

    bool symbolic = op.kind == OpKind::symbolic;
    SmallVector<const Type*, 4> types;
    for (NodeId id : inputs) {
        const Node& input = node(id);
        types.push_back(&input.type);
        symbolic = symbolic || input.symbolic;
    }
    Type inferred;
    if (!type) {
        if (!op.type || !op.kernel)
            throw ValueError(fmt::format("{}: the op has no {}", op.name, op.type ? "kernel" : "shape rule"));
        inferred = op.type({op, attributes, types});
        type = &inferred;
    }
    checked_element_count(type->shape, op.name);
    if (2 * (nodes_.size() + 1) > hashed_.size()) rehash(std::max<std::size_t>(64, 4 * hashed_.size()));
    NodeId id = static_cast<NodeId>(nodes_.size());
    computed_.append();
    nodes_.append(&op, SmallVector<NodeId, 4>(inputs.begin(), inputs.end()), attributes, *type,
                  context_.fixed_where ? context_.where : where, context_.module, context_.derivative_of, symbolic,
                  hash, signature_of(op, *type, hash));
    insert_hashed(id, hash);
    return id;
}

Var record(const Op& op, std::span<const Operand> inputs, const Attributes& attributes) {
    auto first = std::ranges::find_if(inputs, [](const Operand& input) { return bool(input.var); });
    if (first == inputs.end())
        throw TapeError(fmt::format("{}: at least one argument must be a variable", op.name));
    Tape& tape = first->var.tape();

    std::size_t before = tape.size();
    try {
        SmallVector<NodeId, 4> ids;
        for (const Operand& input : inputs) {
            if (!input.var) {
                require_representable(input.number, first->var.dtype(), op.name);
                ids.push_back(tape.full({}, input.number, first->var.dtype(), first->where).id());
            } else if (&input.var.tape() == &tape) {
                ids.push_back(input.var.id());
            } else {
                throw TapeError(fmt::format("{}: its arguments are on two tapes", op.name));
            }
        }
        return tape.var(tape.record_node(op, ids, attributes, nullptr, first->where));
    } catch (...) {
        tape.roll_back(before, tape.readings_.size(), tape.proposals_);
        throw;
    }
}

Var record(const Op& op, std::initializer_list<Operand> inputs, const Attributes& attributes) {
    return record(op, std::span<const Operand>(inputs.begin(), inputs.size()), attributes);
}

bool Tape::holds(std::uint32_t generation, NodeId id) const {
    auto later = std::ranges::upper_bound(rollbacks_, generation, {}, &Rollback::generation);
    return generation >= first_generation_ && (later == rollbacks_.end() || id < later->size);
}

void Tape::roll_back(std::size_t nodes, std::size_t readings, std::vector<Proposal> proposals) {
    for (; readings_.size() > readings; readings_.pop_back()) reading_of_.erase(readings_.back().state.id());
    set_proposals(std::move(proposals));
    if (nodes_.size() <= nodes) return;
    nodes_.truncate(nodes);
    computed_.truncate(nodes);
    if (latest_evaluation_.tape_size > nodes) latest_evaluation_ = {};
    rehash(hashed_.size());
    NodeId size = static_cast<NodeId>(nodes);
    while (!rollbacks_.empty() && rollbacks_.back().size >= size) rollbacks_.pop_back();
    rollbacks_.push_back({++anchor_->generation, size});
}

// -- Scopes ----------------------------------------------------------------------------------------------------------

Tape::ModuleScope::ModuleScope(Tape& tape, std::string_view name, Where where) : tape_(tape), saved_(tape.context_) {
    const std::string& parent = tape.modules_[static_cast<std::size_t>(saved_.module)];
    std::string path = parent.empty() ? std::string(name) : name.empty() ? parent : fmt::format("{}.{}", parent, name);
    auto [found, added] = tape.module_numbers_.try_emplace(path, static_cast<std::int32_t>(tape.modules_.size()));
    if (added) tape.modules_.push_back(std::move(path));
    tape.context_.module = found->second;
    tape.context_.fix(where);
}

LineScope::LineScope(const Operand& call) : tape_(call.var.tape()), saved_(tape_.context_) {
    tape_.context_.fix(call.where);
}

DerivativeScope::DerivativeScope(Tape& tape, NodeId id) : tape_(tape), saved_(tape.context_) {
    const Node& node = tape.node(id);
    tape.context_ = {node.where, true, node.module, id};
}

std::string place_of(const Tape& tape, const Node& node) {
    std::string_view file = node.where.file_name();
    file = file.substr(file.find_last_of('/') + 1);
    const std::string& module = tape.module_path(node);
    return module.empty() ? fmt::format("{}:{}", file, node.where.line())
                          : fmt::format("{}:{} in {}", file, node.where.line(), module);
}

} // namespace cotape

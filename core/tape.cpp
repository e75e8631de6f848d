#include <cotape/core/tape.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

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
    : options_(options), anchor_(anchors().take(this)), first_generation_(anchor_->generation) {
    values_.append();
}

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
    types_.truncate(0);
    attributes_.truncate(0);
    std::ranges::fill(hashed_, Slot());
    hashed_nodes_ = 0;
    numbers_ = {};
    values_.truncate(1);
    free_values_.clear();
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

void Tape::set_computed(NodeId id, Tensor value) {
    std::int32_t& place = nodes_[static_cast<std::size_t>(id)].value;
    if (value.empty()) {
        if (place == 0) return;
        values_[static_cast<std::size_t>(place)] = Tensor();
        free_values_.push_back(std::exchange(place, 0));
        return;
    }
    if (place == 0 && free_values_.empty()) {
        if (free_values_.capacity() < values_.size()) // so that dropping a value cannot fail
            free_values_.reserve(2 * values_.size());
        values_.append();
        place = static_cast<std::int32_t>(values_.size() - 1);
    } else if (place == 0) {
        place = free_values_.back();
        free_values_.pop_back();
    }
    values_[static_cast<std::size_t>(place)] = std::move(value);
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

// -- Rollbacks -------------------------------------------------------------------------------------------------------

bool Tape::holds(std::uint32_t generation, NodeId id) const {
    auto later = std::ranges::upper_bound(rollbacks_, generation, {}, &Rollback::generation);
    return generation >= first_generation_ && (later == rollbacks_.end() || id < later->size);
}

void Tape::roll_back(const Extent& extent, std::vector<Proposal> proposals) {
    if (extent.first_generation != first_generation_) return; // cleared since: nothing is left of that time
    for (; readings_.size() > extent.readings; readings_.pop_back()) reading_of_.erase(readings_.back().state.id());
    set_proposals(std::move(proposals));
    if (nodes_.size() <= extent.nodes) return;
    NodeId size = static_cast<NodeId>(extent.nodes);
    for (NodeId id = size; id < static_cast<NodeId>(nodes_.size()); ++id) {
        set_computed(id, Tensor());
        for (NodeId input : node(id).inputs) {
            NodeId& user = nodes_[static_cast<std::size_t>(input)].first_user;
            if (user >= size) user = -1;
        }
    }
    nodes_.truncate(extent.nodes);
    types_.truncate(extent.types);
    attributes_.truncate(extent.attributes);
    if (latest_evaluation_.tape_size > extent.nodes) latest_evaluation_ = {};
    rehash(hashed_.size());
    numbers_ = {};
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

std::string place_of(const Tape& tape, const Node& node) {
    std::string_view file = node.where.file_name();
    file = file.substr(file.find_last_of('/') + 1);
    const std::string& module = tape.module_path(node);
    return module.empty() ? fmt::format("{}:{}", file, node.where.line())
                          : fmt::format("{}:{} in {}", file, node.where.line(), module);
}

} // namespace cotape

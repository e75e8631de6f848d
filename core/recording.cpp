#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

const Attributes no_attributes;

/// Of what matters to how a node of `hash` is computed. Kernels count too: another op may come to lie where `op` did.
std::uint64_t signature_of(const Op& op, const Type& type, std::uint64_t hash) {
    bool is_float = type.dtype == Dtype::float32;
    std::uint64_t tile = reinterpret_cast<std::uintptr_t>(is_float ? op.tile_float32 : op.tile_float64);
    std::uint64_t row = reinterpret_cast<std::uintptr_t>(is_float ? op.row_float32 : op.row_float64);
    std::uint64_t fold = reinterpret_cast<std::uintptr_t>(op.fold);
    std::uint64_t traits = static_cast<std::uint64_t>(op.kind);
    std::uint64_t memory = op.view ? 1 : op.placement ? 2 : op.fill ? 3 : 0;
    for (std::uint64_t trait :
         {std::uint64_t(op.stretches), memory, std::uint64_t(op.arithmetic), std::uint64_t(type.dtype)})
        traits = 8 * traits + trait;
    std::uint64_t kernels = tile ^ std::rotl(row, 20) ^ std::rotl(fold, 40); // an op has one of them at most
    std::uint64_t signature = mix_hash(mix_hash(op.kind == OpKind::source ? 1 : hash, kernels), traits);
    for (std::int64_t extent : type.shape) signature = mix_hash(signature, static_cast<std::uint64_t>(extent));
    return signature;
}

} // namespace

// Usually a node is the first to have some other one as its latest input, and is found there, in memory that has just
// been used. The rest are in a table by hash.
inline NodeId Tape::find(const Application& application) const {
    auto is_at = [&](NodeId id) {
        const Node& known = node(id);
        return known.op == &application.op && known.inputs == application.inputs &&
               known.attributes == application.attributes && (!application.type || known.type == *application.type);
    };
    if (application.first_user) {
        NodeId user = *application.first_user;
        if (user < 0 || is_at(user)) return user;
    }
    if (hashed_.empty()) return -1;
    std::uint32_t hash = static_cast<std::uint32_t>(application.hash);
    for (std::size_t position = hash & (hashed_.size() - 1);; position = (position + 1) & (hashed_.size() - 1)) {
        Slot slot = hashed_[position];
        if (slot.id < 0 || (slot.hash == hash && is_at(slot.id))) return slot.id;
    }
}

inline void Tape::insert(NodeId id, const Application& application) {
    if (application.first_user && *application.first_user < 0) {
        *application.first_user = id;
        return;
    }
    if (2 * (hashed_nodes_ + 1) > hashed_.size()) rehash(std::max<std::size_t>(64, 4 * hashed_.size()));
    insert_hashed({id, static_cast<std::uint32_t>(application.hash)});
}

void Tape::insert_hashed(Slot slot) {
    std::size_t position = slot.hash & (hashed_.size() - 1);
    while (hashed_[position].id >= 0) position = (position + 1) & (hashed_.size() - 1);
    hashed_[position] = slot;
    ++hashed_nodes_;
}

void Tape::rehash(std::size_t slots) {
    std::vector<Slot> old = std::exchange(hashed_, std::vector<Slot>(slots));
    hashed_nodes_ = 0;
    NodeId size = static_cast<NodeId>(nodes_.size());
    for (Slot slot : old)
        if (slot.id >= 0 && slot.id < size) insert_hashed(slot);
}

/// An input's type where it is the same: types are seldom new.
inline const Type& Tape::keep_type(const Type& type, const Op& op, std::span<const Type* const> inputs) {
    for (const Type* input : inputs)
        if (*input == type) return *input;
    checked_element_count(type.shape, op.name);
    return types_.append(type);
}

NodeId Tape::record_node(const Op& op, const NodeIds& inputs, const Attributes& attributes, const Type* type,
                         Where where) {
    check_thread();
    Application application{op, inputs, attributes, type,
                            mix_hash(reinterpret_cast<std::uintptr_t>(&op), attributes.hash())};
    bool symbolic = op.kind == OpKind::symbolic;
    SmallVector<const Type*, 4> types;
    NodeId latest = -1;
    for (NodeId id : inputs) {
        Node& input = nodes_[static_cast<std::size_t>(id)];
        application.hash = mix_hash(application.hash, static_cast<std::uint64_t>(id));
        if (id > latest) application.first_user = &input.first_user;
        latest = std::max(latest, id);
        types.push_back(&input.type);
        symbolic = symbolic || input.symbolic;
    }
    if (NodeId known = find(application); known >= 0) return known;
    if (!type && (!op.type || !(op.kernel || op.fill)))
        throw ValueError(fmt::format("{}: the op has no {}", op.name, op.type ? "kernel or fill" : "shape rule"));
    if (op.kernel && op.fill) throw ValueError(fmt::format("{}: the op has both a kernel and a fill", op.name));
    const Type& kept_type = keep_type(type ? *type : op.type({op, attributes, types}), op, types);
    const Attributes& kept_attributes = attributes.empty() ? no_attributes : attributes_.append(attributes);
    NodeId id = static_cast<NodeId>(nodes_.size());
    Node& node = nodes_.append(op, inputs, kept_attributes, kept_type);
    node.where = context_.fixed_where ? context_.where : where;
    node.module = context_.module;
    node.derivative_of = context_.derivative_of;
    node.symbolic = symbolic;
    node.signature = signature_of(op, kept_type, application.hash);
    insert(id, application);
    return id;
}

NodeId Tape::number(double value, Dtype dtype, Where where) {
    std::uint64_t bits = std::bit_cast<std::uint64_t>(value);
    Number& known = numbers_[mix_hash(bits, static_cast<std::uint64_t>(dtype)) % numbers_.size()];
    if (known.node < 0 || known.bits != bits || known.dtype != dtype)
        known = {bits, dtype, full({}, value, dtype, where).id()};
    return known.node;
}

Var record(const Op& op, std::span<const Operand> inputs, const Attributes& attributes) {
    auto first = std::ranges::find_if(inputs, [](const Operand& input) { return bool(input.var); });
    if (first == inputs.end())
        throw TapeError(fmt::format("{}: at least one argument must be a variable", op.name));
    Tape& tape = first->var.tape();

    std::optional<Tape::Extent> before_numbers;
    try {
        NodeIds ids;
        for (const Operand& input : inputs) {
            if (!input.var) {
                if (!before_numbers) before_numbers = tape.extent();
                Dtype dtype = first->var.dtype();
                require_representable(input.number, dtype, op.name);
                ids.push_back(tape.number(input.number, dtype, first->where));
            } else if (&input.var.tape() == &tape) {
                ids.push_back(input.var.id());
            } else {
                throw TapeError(fmt::format("{}: its arguments are on two tapes", op.name));
            }
        }
        return tape.var(tape.record_node(op, ids, attributes, nullptr, first->where));
    } catch (...) {
        if (before_numbers) tape.roll_back(*before_numbers, tape.proposals_);
        throw;
    }
}

Var record(const Op& op, std::initializer_list<Operand> inputs, const Attributes& attributes) {
    return record(op, std::span<const Operand>(inputs.begin(), inputs.size()), attributes);
}

} // namespace cotape

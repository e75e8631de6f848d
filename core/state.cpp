#include <cotape/core/state.hpp>

#include <atomic>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/evaluation.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

std::uint64_t next_state_id() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

} // namespace

State::State(Tensor initial) {
    if (initial.empty()) throw ValueError("state: the initial tensor is empty");
    cell_ = std::make_shared<Cell>(Cell{std::move(initial), next_state_id()});
}

void State::assign(Tensor value) const {
    if (value.empty()) throw ValueError("assign: the tensor is empty");
    if (!(value.shape() == type().shape))
        throw ShapeError(fmt::format("assign: the state holds {}, got {}", to_string(type()), to_string(value.type())));
    if (value.dtype() != type().dtype)
        throw DtypeError(fmt::format("assign: the state holds {}, got {}", to_string(type()), to_string(value.type())));
    cell_->value = std::move(value);
    ++cell_->version;
}

void commit(Tape& tape, std::span<const Var> also) {
    tape.check_thread();
    std::vector<Var> values(also.begin(), also.end());
    std::vector<NodeId> expendable;
    for (const Tape::Proposal& proposal : tape.proposals_) {
        if (tape.reading(proposal.state)->version != proposal.state.version())
            throw TapeError("commit: a state has changed since this tape read it; nothing was committed");
        if (tape.node(proposal.value).type.dtype != proposal.state.type().dtype)
            throw TapeError("commit: a state is bound to another element type on this tape; nothing was committed");
        values.push_back(tape.var(proposal.value));
        NodeId read = tape.reading(proposal.state)->node;
        const Tensor& old = proposal.state.value(); // held by the state, and by the tape as the value of `read`
        if (proposal.in_place && is_same(tape.computed(read), old) && old.is_held_by(2)) expendable.push_back(read);
    }
    evaluate(values, Keep::requested, expendable);
    for (const Tape::Proposal& proposal : tape.proposals_) {
        proposal.state.cell_->value = tape.computed(proposal.value);
        ++proposal.state.cell_->version;
    }
    tape.set_proposals({});
}

} // namespace cotape

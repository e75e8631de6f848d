#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <cotape/core/tensor.hpp>
#include <cotape/core/var.hpp>

namespace cotape {

/// A tensor that outlives tapes and changes between them: a parameter, a running statistic, an optimiser's moment.
/// A handle: copies mean the same cell. It changes in two ways only: `assign`, and the commit of a tape's proposals.
class State {
  public:
    explicit State(Tensor initial);

    const Tensor& value() const { return cell_->value; }
    const Type& type() const { return cell_->value.type(); }

    /// Replaces the value. Throws ShapeError or DtypeError unless it has the type of the old one.
    void assign(Tensor value) const;

    /// Tells cells apart, within the process.
    std::uint64_t id() const { return cell_->id; }
    /// Grows with each change.
    std::uint64_t version() const { return cell_->version; }

  private:
    friend void commit(Tape& tape, std::span<const Var> also);

    struct Cell {
        Tensor value;
        std::uint64_t id;
        std::uint64_t version = 0;
    };
    std::shared_ptr<Cell> cell_;
};

/// Computes everything proposed on `tape` and then gives each state its new value, all together; where anything throws,
/// none. The values of `also` are computed in the same pass and stay on the tape; nothing else does. The proposals are
/// gone afterwards. Throws TapeError where a state changed after the tape read it, or was bound to another type.
void commit(Tape& tape, std::span<const Var> also = {});

} // namespace cotape

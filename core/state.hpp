#pragma once

#include <cstdint>
#include <memory>

#include <cotape/core/tensor.hpp>

namespace cotape {

class Tape;

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
    friend void commit(Tape& tape);

    struct Cell {
        Tensor value;
        std::uint64_t id;
        std::uint64_t version = 0;
    };
    std::shared_ptr<Cell> cell_;
};

/// Computes everything proposed on `tape` and then gives each state its new value, all together; where anything throws,
/// none. The proposals are gone afterwards. Throws TapeError where a state changed after the tape read it.
void commit(Tape& tape);

} // namespace cotape

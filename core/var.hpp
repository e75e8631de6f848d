#pragma once

#include <concepts>
#include <cstdint>
#include <source_location>

#include <cotape/core/shape.hpp>
#include <cotape/core/tensor.hpp>

namespace cotape {

class Tape;
struct Node;

/// The position of a node on its tape.
using NodeId = std::int32_t;

/// What outlives a tape, so that a handle can find out that the tape is gone. Never freed; reused by later tapes.
struct TapeAnchor {
    Tape* tape = nullptr;
    /// Grows whenever nodes are dropped: the tape cleared or destroyed, a recording rolled back.
    std::uint32_t generation = 0;
};

/// A value on a tape: a handle, cheap to copy, that owns nothing. Shape and element type are known at once; the
/// elements are computed when `value()` first asks for them, and kept. Using a Var whose tape was cleared or destroyed
/// throws TapeError. Confined to the tape's thread.
class Var {
  public:
    /// No value; everything but the conversion to bool and is_recorded throws TapeError.
    Var() = default;

    explicit operator bool() const { return anchor_ != nullptr; }
    /// False where using it would throw: it has no value, or its tape was cleared or destroyed, or its recording rolled
    /// back.
    bool is_recorded() const;

    const Type& type() const;
    const Shape& shape() const { return type().shape; }
    Dtype dtype() const { return type().dtype; }

    /// The elements, computed now where they have not been yet.
    Tensor value() const;
    /// The only element. Throws ShapeError unless there is exactly one.
    double item() const { return value().item(); }

    Tape& tape() const {
        // Whatever drops nodes lets the generation grow.
        return anchor_ && generation_ == anchor_->generation ? *anchor_->tape : tape_of_before();
    }
    NodeId id() const { return id_; }
    const Node& node() const;

    /// True where both handles mean the same node of the same tape.
    friend bool is_same(Var a, Var b) {
        return a.anchor_ == b.anchor_ && a.id_ == b.id_ &&
               (a.generation_ == b.generation_ || (a.is_recorded() && b.is_recorded()));
    }

  private:
    friend class Tape;
    Var(TapeAnchor* anchor, std::uint32_t generation, NodeId id)
        : anchor_(anchor), generation_(generation), id_(id) {}

    /// The tape of a Var older than its latest rollback. Throws TapeError where the tape or the node is gone.
    Tape& tape_of_before() const;

    TapeAnchor* anchor_ = nullptr;
    std::uint32_t generation_ = 0;
    NodeId id_ = -1;
};

/// The line of the user's program that a node is recorded for.
using Where = std::source_location;

/// An argument of an operation: a Var, or a number that takes the element type of the Vars beside it. Converting to it
/// notes the line of the call, which is how every operation knows where it was written, operators included.
struct Operand {
    /// Throws TapeError for a default Var: it is no number.
    Operand(Var value, Where line = Where::current()) : var(value), where(line) {
        if (!var) var.tape();
    }
    template <class Number>
        requires std::integral<Number> || std::floating_point<Number>
    Operand(Number value, Where line = Where::current()) : number(static_cast<double>(value)), where(line) {}

    Var var;
    double number = 0;
    Where where;
};

} // namespace cotape

#pragma once

#include <cstddef>
#include <cstdint>

#include <cotape/core/op.hpp>

namespace cotape {

/// Where the elements of a tensor are that is read as if it were broadcast to a larger shape.
class BroadcastPattern {
  public:
    /// Of a tensor of shape `seen` whose elements lie as `view` says.
    BroadcastPattern(const Shape& seen, const View& view, const Shape& shape, Dtype dtype);

    /// How many elements at a time are consecutive in the tensor too, or one and the same element of it. A read that
    /// stays within such a run copies nothing.
    std::int64_t run() const;

    /// Whether it is the same again after so many elements, from any multiple of them on.
    bool repeats_every(std::int64_t elements) const {
        return !axes_.empty() && axes_[0].stride == 0 && elements % period_ == 0;
    }

    /// Whether runs are consecutive elements of the tensor that do not follow one on the other there.
    bool has_rows_apart() const {
        return axes_.size() > 1 && axes_.back().stride == 1 && axes_[axes_.size() - 2].stride != 0;
    }

  private:
    friend class BroadcastReader;

    struct Axis {
        std::int64_t extent;
        std::int64_t stride;
    };
    /// Of the first element.
    std::int64_t offset_;
    std::size_t element_size_;
    /// Outermost first; adjacent axes that can be walked as one are one. Empty for "in place".
    SmallVector<Axis, 4> axes_;
    /// After how many elements the pattern repeats.
    std::int64_t period_ = 0;
};

/// Reads a tensor as if it were broadcast, a run of consecutive elements at a time. What is consecutive in the tensor
/// as well is read in place; the rest is expanded into a buffer. Pattern, elements and buffer must outlive the reader;
/// a reader belongs to one thread.
class BroadcastReader {
  public:
    BroadcastReader(const BroadcastPattern& pattern, const std::byte* elements)
        : pattern_(&pattern), elements_(elements + pattern.offset_ * static_cast<std::int64_t>(pattern.element_size_)),
          index_(pattern.axes_.size()) {}

    /// Gives it a buffer, for as many elements as a read may have, which nobody else writes to until this is called
    /// again.
    void expand_into(std::byte* buffer) {
        buffer_ = buffer;
        held_ = {};
    }

    /// The elements from row-major position `begin` of the broadcast shape on, `count` of them; valid until the next
    /// call.
    const void* read(std::int64_t begin, std::int64_t count);

    /// As `read`, `count` rows of `width` elements, of which the next begins `distance` elements after the one before,
    /// in the broadcast shape and in what is returned.
    struct Rows {
        const void* first;
        std::int64_t distance;
    };
    Rows read_rows(std::int64_t begin, const FoldRows& rows);

  private:
    /// Where the element at a position of the broadcast shape is in the tensor; `index_` becomes its index along each
    /// axis.
    std::int64_t locate(std::int64_t position);
    /// Whether the `count` elements from the one that was located on are one element again and again, or all of the
    /// innermost axis.
    bool repeats(std::int64_t count) const;
    /// Writes the `count` elements from the one on that was located, which is at `offset` of the tensor.
    void expand(std::byte* into, std::int64_t offset, std::int64_t count);
    template <class Bits>
    void expand(Bits* into, std::int64_t offset, std::int64_t count);

    using Axis = BroadcastPattern::Axis;
    const BroadcastPattern* pattern_;
    const std::byte* elements_;
    SmallVector<std::int64_t, 4> index_;
    std::byte* buffer_ = nullptr;
    /// What the buffer holds: `count` elements, of repetitions of the tensor's elements from `begin` on, all of the
    /// innermost axis or one; or else a part of the pattern, from `begin` within the period on.
    struct {
        bool repeats = false;
        std::int64_t begin = -1;
        std::int64_t count = 0;
    } held_;
};

} // namespace cotape

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <cotape/core/tensor.hpp>

namespace cotape {

/// Reads a tensor as if it were broadcast to a larger shape, a run of consecutive elements at a time. Runs of a tensor
/// that has the shape already are read in place; others are expanded into a buffer of the reader's own. The tensor must
/// outlive the reader; a reader belongs to one thread.
class BroadcastReader {
  public:
    BroadcastReader(const Tensor& tensor, const Shape& shape);

    /// The elements from row-major position `begin` of the broadcast shape on, `count` of them; valid until the next call.
    const void* read(std::int64_t begin, std::int64_t count);

  private:
    template <class Bits>
    void expand(std::int64_t begin, std::int64_t count);

    struct Axis {
        std::int64_t extent;
        std::int64_t stride;
    };

    const std::byte* elements_;
    std::size_t element_size_;
    /// Outermost first; adjacent axes that are both kept or both stretched are one. Empty for "in place".
    SmallVector<Axis, 4> axes_;
    /// After how many elements the pattern repeats.
    std::int64_t period_ = 0;
    std::vector<std::byte> buffer_;
    /// What the buffer holds: `expanded_` elements, from `expanded_begin_` within the period on.
    std::int64_t expanded_begin_ = -1;
    std::int64_t expanded_ = 0;
};

} // namespace cotape

#pragma once

#include <cstddef>

#include <cotape/core/tensor.hpp>

namespace cotape {

/// One side of a copy: where its first element is, and how far apart neighbours along each axis are, in elements.
template <class Byte>
struct Strided {
    Byte* first;
    Shape strides;
};

/// Copies a block of `extents` elements of `element_size` (4 or 8) bytes from one strided layout to another.
void copy_strided(const Shape& extents, Strided<const std::byte> from, Strided<std::byte> to, std::size_t element_size);

/// Copies `from` to where `view` says in `whole`, a tensor of the same element type.
void copy_into(MutableTensor& whole, const Tensor& from, const View& view);

} // namespace cotape

#include <cotape/core/strided_copy.hpp>

#include <algorithm>

namespace cotape {
namespace {

template <class Bits>
void copy_row(std::int64_t count, const Bits* from, std::int64_t from_stride, Bits* to, std::int64_t to_stride) {
    if (from_stride == 1 && to_stride == 1)
        std::copy_n(from, count, to);
    else
        for (std::int64_t i = 0; i < count; ++i) to[i * to_stride] = from[i * from_stride];
}

template <class Bits>
void copy_block(const Shape& extents, Strided<const std::byte> from, Strided<std::byte> to) {
    const Bits* source = reinterpret_cast<const Bits*>(from.first);
    Bits* target = reinterpret_cast<Bits*>(to.first);
    std::size_t inner = extents.size() - 1;
    Shape index(extents.size());
    while (true) {
        copy_row(extents[inner], source, from.strides[inner], target, to.strides[inner]);
        std::size_t axis = inner;
        do {
            if (axis-- == 0) return;
            source += from.strides[axis];
            target += to.strides[axis];
            if (++index[axis] < extents[axis]) break;
            source -= index[axis] * from.strides[axis];
            target -= index[axis] * to.strides[axis];
            index[axis] = 0;
        } while (true);
    }
}

} // namespace

void copy_strided(const Shape& extents, Strided<const std::byte> from, Strided<std::byte> to,
                  std::size_t element_size) {
    if (std::ranges::find(extents, 0) != extents.end()) return;
    Shape merged;
    Strided<const std::byte> merged_from{from.first, {}};
    Strided<std::byte> merged_to{to.first, {}};
    for (std::size_t i = 0; i < extents.size(); ++i) {
        if (extents[i] == 1) continue;
        bool continues = !merged.empty() && merged_from.strides.back() == extents[i] * from.strides[i] &&
                         merged_to.strides.back() == extents[i] * to.strides[i];
        if (continues) {
            merged.back() *= extents[i];
            merged_from.strides.back() = from.strides[i];
            merged_to.strides.back() = to.strides[i];
        } else {
            merged.push_back(extents[i]);
            merged_from.strides.push_back(from.strides[i]);
            merged_to.strides.push_back(to.strides[i]);
        }
    }
    if (merged.empty()) {
        merged = merged_from.strides = merged_to.strides = {1};
    }
    if (element_size == 4)
        copy_block<std::uint32_t>(merged, merged_from, merged_to);
    else
        copy_block<std::uint64_t>(merged, merged_from, merged_to);
}

void copy_into(MutableTensor& whole, const Tensor& from, const View& view) {
    std::size_t size = size_of(from.dtype());
    copy_strided(from.shape(), {from.bytes_begin(), dense_strides(from.shape())},
                 {whole.bytes() + view.offset * static_cast<std::int64_t>(size), view.strides}, size);
}

} // namespace cotape

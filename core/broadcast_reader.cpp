#include <cotape/core/broadcast_reader.hpp>

#include <algorithm>

namespace cotape {

BroadcastReader::BroadcastReader(const Tensor& tensor, const Shape& shape)
    : elements_(tensor.bytes_begin()), element_size_(size_of(tensor.dtype())) {
    if (tensor.size() == element_count(shape) || element_count(shape) == 0) return;
    std::size_t offset = shape.size() - tensor.shape().size();
    std::int64_t stride = tensor.size();
    for (std::size_t i = 0; i < shape.size(); ++i) {
        std::int64_t own = i < offset ? 1 : tensor.shape()[i - offset];
        if (shape[i] == 1) continue;
        bool kept = own != 1;
        if (kept) stride /= own;
        if (!axes_.empty() && (axes_.back().stride != 0) == kept) {
            axes_.back().extent *= shape[i];
            axes_.back().stride = kept ? stride : 0;
        } else {
            axes_.push_back({shape[i], kept ? stride : 0});
        }
    }
    period_ = element_count(shape);
    if (axes_[0].stride == 0) period_ /= axes_[0].extent;
}

const void* BroadcastReader::read(std::int64_t begin, std::int64_t count) {
    if (axes_.empty()) return elements_ + static_cast<std::size_t>(begin) * element_size_;
    if (begin % period_ == expanded_begin_ && count <= expanded_) return buffer_.data();
    std::size_t bytes = static_cast<std::size_t>(count) * element_size_;
    if (buffer_.size() < bytes) buffer_.resize(bytes);
    if (element_size_ == 4)
        expand<std::uint32_t>(begin, count);
    else
        expand<std::uint64_t>(begin, count);
    expanded_begin_ = begin % period_;
    expanded_ = count;
    return buffer_.data();
}

template <class Bits>
void BroadcastReader::expand(std::int64_t begin, std::int64_t count) {
    const Bits* source = reinterpret_cast<const Bits*>(elements_);
    Bits* target = reinterpret_cast<Bits*>(buffer_.data());
    SmallVector<std::int64_t, 4> index(axes_.size());
    std::int64_t offset = 0, rest = begin;
    for (std::size_t axis = axes_.size(); axis-- > 0;) {
        index[axis] = rest % axes_[axis].extent;
        rest /= axes_[axis].extent;
        offset += index[axis] * axes_[axis].stride;
    }
    const Axis inner = axes_.back();
    while (count > 0) {
        std::int64_t run = std::min(count, inner.extent - index.back());
        if (inner.stride == 0)
            std::fill(target, target + run, source[offset]);
        else
            std::copy(source + offset, source + offset + run, target);
        target += run;
        count -= run;
        index.back() += run;
        offset += run * inner.stride;
        for (std::size_t axis = axes_.size() - 1; axis > 0 && index[axis] == axes_[axis].extent; --axis) {
            offset += axes_[axis - 1].stride - index[axis] * axes_[axis].stride;
            index[axis] = 0;
            ++index[axis - 1];
        }
    }
}

} // namespace cotape

#include <cotape/core/broadcast_reader.hpp>

#include <algorithm>
#include <limits>

namespace cotape {

BroadcastPattern::BroadcastPattern(const Shape& seen, const View& view, const Shape& shape, Dtype dtype)
    : offset_(view.offset), element_size_(size_of(dtype)), period_(element_count(shape)) {
    if (period_ == 0) return;
    std::size_t offset = shape.size() - seen.size();
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (shape[i] == 1) continue;
        std::int64_t stride = i < offset || seen[i - offset] == 1 ? 0 : view.strides[i - offset];
        if (!axes_.empty() && axes_.back().stride == stride * shape[i])
            axes_.back() = {axes_.back().extent * shape[i], stride};
        else
            axes_.push_back({shape[i], stride});
    }
    if (axes_.size() == 1 && axes_[0].stride == 1) axes_ = {};
    if (!axes_.empty() && axes_[0].stride == 0) period_ /= axes_[0].extent;
}

std::int64_t BroadcastPattern::run() const {
    return axes_.empty() ? std::numeric_limits<std::int64_t>::max() : axes_.back().extent;
}

std::int64_t BroadcastReader::locate(std::int64_t position) {
    const auto& axes = pattern_->axes_;
    std::int64_t offset = 0;
    for (std::size_t axis = axes.size() - 1; axis > 0; --axis) {
        std::int64_t outer = position / axes[axis].extent;
        index_[axis] = position - outer * axes[axis].extent;
        position = outer;
        offset += index_[axis] * axes[axis].stride;
    }
    index_[0] = position;
    return offset + position * axes[0].stride;
}

bool BroadcastReader::repeats(std::int64_t count) const {
    const auto& axes = pattern_->axes_;
    const Axis& inner = axes.back();
    if (inner.stride == 0) return index_.back() + count <= inner.extent;
    if (axes.size() == 1 || index_.back() != 0) return false;
    std::size_t outer = axes.size() - 2;
    return axes[outer].stride == 0 && index_[outer] * inner.extent + count <= axes[outer].extent * inner.extent;
}

const void* BroadcastReader::read(std::int64_t begin, std::int64_t count) {
    const auto& axes = pattern_->axes_;
    std::size_t element_size = pattern_->element_size_;
    if (axes.empty()) return elements_ + static_cast<std::size_t>(begin) * element_size;
    std::int64_t offset = locate(begin);
    bool within_run = index_.back() + count <= axes.back().extent;
    if (within_run && axes.back().stride == 1) return elements_ + static_cast<std::size_t>(offset) * element_size;

    bool repeated = repeats(count);
    std::int64_t source = repeated ? offset : begin % pattern_->period_;
    if (held_.repeats == repeated && held_.begin == source && held_.count >= count) return buffer_;
    expand(buffer_, offset, count);
    held_ = {repeated, source, count};
    return buffer_;
}

BroadcastReader::Rows BroadcastReader::read_rows(std::int64_t begin, const FoldRows& rows) {
    const auto& axes = pattern_->axes_;
    std::size_t element_size = pattern_->element_size_;
    if (axes.empty()) return {read(begin, rows.width), rows.distance};
    bool repeats_rows = axes[0].stride == 0 && rows.distance % pattern_->period_ == 0;
    if (repeats_rows || rows.count == 1) return {read(begin, rows.width), 0};
    std::int64_t offset = locate(begin);
    const Axis& inner = axes.back();
    if (inner.stride == 1 && rows.distance == inner.extent && index_.back() + rows.width <= inner.extent) {
        std::size_t outer = axes.size() - 2;
        if (index_[outer] + rows.count <= axes[outer].extent)
            return {elements_ + static_cast<std::size_t>(offset) * element_size, axes[outer].stride};
    }
    for (std::int64_t row = 0; row < rows.count; ++row)
        expand(buffer_ + static_cast<std::size_t>(row * rows.width) * element_size, locate(begin + row * rows.distance),
               rows.width);
    held_ = {};
    return {buffer_, rows.width};
}

void BroadcastReader::expand(std::byte* into, std::int64_t offset, std::int64_t count) {
    if (pattern_->element_size_ == 4)
        expand(reinterpret_cast<std::uint32_t*>(into), offset, count);
    else
        expand(reinterpret_cast<std::uint64_t*>(into), offset, count);
}

template <class Bits>
void BroadcastReader::expand(Bits* target, std::int64_t offset, std::int64_t count) {
    const auto& axes = pattern_->axes_;
    const Bits* source = reinterpret_cast<const Bits*>(elements_);
    const Axis inner = axes.back();
    while (count > 0) {
        std::int64_t run = std::min(count, inner.extent - index_.back());
        if (inner.stride == 0)
            std::fill(target, target + run, source[offset]);
        else if (inner.stride == 1)
            std::copy(source + offset, source + offset + run, target);
        else
            for (std::int64_t i = 0; i < run; ++i) target[i] = source[offset + i * inner.stride];
        target += run;
        count -= run;
        index_.back() += run;
        offset += run * inner.stride;
        for (std::size_t axis = axes.size() - 1; axis > 0 && index_[axis] == axes[axis].extent; --axis) {
            offset += axes[axis - 1].stride - index_[axis] * axes[axis].stride;
            index_[axis] = 0;
            ++index_[axis - 1];
        }
    }
}

} // namespace cotape

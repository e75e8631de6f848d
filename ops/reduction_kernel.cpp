#include <cotape/ops/reduction_kernel.hpp>

namespace cotape {

ReductionLoops::ReductionLoops(const Shape& shape, const Shape& axes) {
    struct Merged {
        std::int64_t extent;
        std::int64_t stride;
        bool reduced;
    };
    SmallVector<Merged, 4> merged;
    std::int64_t stride = element_count(shape);
    for (std::size_t i = 0; i < shape.size(); ++i) {
        bool reduced = std::ranges::find(axes, static_cast<std::int64_t>(i)) != axes.end();
        if (reduced) reduced_count_ *= shape[i];
        if (shape[i] != 0) stride /= shape[i];
        if (shape[i] == 1) continue;
        if (!merged.empty() && merged.back().reduced == reduced) {
            merged.back().extent *= shape[i];
            merged.back().stride = stride;
        } else {
            merged.push_back({shape[i], stride, reduced});
        }
    }
    if (merged.empty()) return;
    inner_ = merged.back().extent;
    inner_reduced_ = merged.back().reduced;
    for (std::size_t i = 0; i + 1 < merged.size(); ++i) {
        (merged[i].reduced ? reduced_ : kept_).push_back({merged[i].extent, merged[i].stride});
        (merged[i].reduced ? outer_reduced_count_ : kept_count_) *= merged[i].extent;
    }
}

std::int64_t ReductionLoops::offset_of(std::int64_t position, const SmallVector<Axis, 4>& axes) {
    std::int64_t offset = 0;
    for (std::size_t i = axes.size(); i-- > 0;) {
        offset += position % axes[i].extent * axes[i].stride;
        position /= axes[i].extent;
    }
    return offset;
}

Tensor tensor_of_doubles(const Type& type, std::span<const double> values) {
    MutableTensor result(type);
    visit_floating(type.dtype, [&]<class T>(T) {
        std::ranges::transform(values, result.elements<T>().begin(),
                               [](double value) { return static_cast<T>(value); });
    });
    return std::move(result).freeze();
}

} // namespace cotape

#include <cotape/core/window.hpp>

namespace cotape {

std::optional<Window> window_of(const Shape& space, const View& view, const Shape& whole) {
    Window window{space, {}};
    std::int64_t offset = view.offset;
    for (std::int64_t stride : dense_strides(whole)) {
        window.axes.push_back({.begin = stride > 0 ? offset / stride : 0});
        offset -= window.axes.back().begin * stride;
    }
    Shape strides = dense_strides(whole);
    for (std::size_t axis = 0; axis < space.size(); ++axis) {
        if (space[axis] == 1) continue;
        bool found = false;
        for (std::size_t i = 0; i < whole.size() && !found; ++i) {
            Window::Axis& place = window.axes[i];
            if (whole[i] == 1 || place.along >= 0 || strides[i] == 0 || view.strides[axis] % strides[i] != 0) continue;
            std::int64_t step = view.strides[axis] / strides[i], last = place.begin + step * (space[axis] - 1);
            found = step != 0 && last >= 0 && last < whole[i];
            if (found) place.step = step, place.along = static_cast<std::int32_t>(axis);
        }
        if (!found) return std::nullopt;
    }
    return window;
}

Window through(const Window& inner, const Window& outer) {
    Window result{inner.space, outer.axes};
    for (Window::Axis& axis : result.axes) {
        if (axis.along < 0) continue;
        const Window::Axis& within = inner.axes[static_cast<std::size_t>(axis.along)];
        axis = {axis.begin + axis.step * within.begin, axis.step * within.step, within.along};
    }
    return result;
}

View through(const Window& window, const Shape& shape, const View& view) {
    View result{view.offset, Shape(window.space.size(), 0)};
    std::size_t stretched = window.axes.size() - shape.size();
    for (std::size_t i = stretched; i < window.axes.size(); ++i) {
        const Window::Axis& axis = window.axes[i];
        std::int64_t stride = view.strides[i - stretched];
        if (shape[i - stretched] == 1) continue;
        result.offset += axis.begin * stride;
        if (axis.along >= 0) result.strides[static_cast<std::size_t>(axis.along)] = axis.step * stride;
    }
    return result;
}

} // namespace cotape

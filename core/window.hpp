#pragma once

#include <optional>
#include <vector>

#include <cotape/core/shape.hpp>

namespace cotape {

/// How the elements of a space are found in another one: along each axis of that, from which place on, and along which
/// axis of the space how far from one element to the next; -1 for along none.
struct Window {
    struct Axis {
        std::int64_t begin = 0;
        std::int64_t step = 0;
        std::int32_t along = -1;
        friend bool operator==(const Axis&, const Axis&) = default;
    };
    Shape space;
    std::vector<Axis> axes;
    friend bool operator==(const Window&, const Window&) = default;
};

/// The window through which a tensor of shape `space` sees one of shape `whole`, of which it is a view; none where no
/// axes go along one another.
std::optional<Window> window_of(const Shape& space, const View& view, const Shape& whole);

/// What `inner` shows of a space that is itself seen through `outer`.
Window through(const Window& inner, const Window& outer);

/// What a window shows of a tensor of `shape`, broadcast to the whole, whose elements lie as `view` says.
View through(const Window& window, const Shape& shape, const View& view);

} // namespace cotape

#include <cotape/nn/flatten.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {

std::string Flatten::describe() const { return fmt::format("Flatten(axes {} to {})", start_, end_); }

Var Flatten::forward(Var x) { return flatten(x, start_, end_); }

std::string Unflatten::describe() const { return fmt::format("Unflatten(axis {} to {})", axis_, to_string(sizes_)); }

Var Unflatten::forward(Var x) {
    const Shape& shape = x.shape();
    auto axis = normalize_axis(axis_, shape.size(), "Unflatten");
    std::int64_t extent = shape[static_cast<std::size_t>(axis)], known = 1;
    Shape sizes = sizes_;
    for (std::int64_t size : sizes)
        if (size != -1) known *= size;
    if (auto unknown = std::ranges::find(sizes, -1); unknown != sizes.end() && known > 0) {
        *unknown = extent / known;
        known *= *unknown;
    }
    if (known != extent || std::ranges::any_of(sizes, [](std::int64_t size) { return size < 0; }))
        throw ShapeError(fmt::format("Unflatten: cannot split axis {} of {} into {}", axis_, to_string(shape),
                                     to_string(sizes_)));
    Shape split(shape.begin(), shape.begin() + axis);
    split.append(sizes.begin(), sizes.end());
    split.append(shape.begin() + axis + 1, shape.end());
    return reshape(x, split);
}

} // namespace cotape::nn

#pragma once

#include <initializer_list>
#include <string>

#include <cotape/core/shape.hpp>

namespace cotape {

/// A number for each spatial axis, such as a stride: `2` for all of them, or `{2, 1}` one by one.
struct PerAxis {
    PerAxis() = default;
    PerAxis(std::int64_t all) : values{all} {}
    PerAxis(std::initializer_list<std::int64_t> each) : values(each) {}
    PerAxis(const Shape& each) : values(each) {}

    /// One number for each of `axes` axes. Throws ShapeError, naming `operation` and `option`, where there are neither
    /// one nor as many.
    Shape over(std::size_t axes, const std::string& operation, const char* option) const;

    /// Empty where nothing was said.
    Shape values;
};

} // namespace cotape

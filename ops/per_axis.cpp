#include <cotape/ops/per_axis.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape {

Shape PerAxis::over(std::size_t axes, const std::string& operation, const char* option) const {
    if (values.size() == axes) return values;
    if (values.size() != 1)
        throw ShapeError(fmt::format("{}: {} needs one number or {}, got {}", operation, option, axes,
                                     to_string(values)));
    return Shape(axes, values[0]);
}

} // namespace cotape

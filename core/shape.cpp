#include <cotape/core/shape.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape {

const char* to_string(Dtype dtype) {
    switch (dtype) {
    case Dtype::float32: return "float32";
    case Dtype::float64: return "float64";
    case Dtype::int64: break;
    }
    return "int64";
}

std::string to_string(const Shape& shape) {
    std::string text = "[";
    for (std::int64_t extent : shape) text += fmt::format("{}{}", text.size() > 1 ? ", " : "", extent);
    return text + "]";
}

std::string to_string(const Type& type) { return fmt::format("{} {}", to_string(type.dtype), to_string(type.shape)); }

std::int64_t element_count(const Shape& shape) {
    std::int64_t count = 1;
    for (std::int64_t extent : shape) count *= extent;
    return count;
}

Shape broadcast(const Shape& a, const Shape& b, const std::string& operation) {
    if (a == b) return a;
    const Shape& longer = a.size() >= b.size() ? a : b;
    const Shape& shorter = a.size() >= b.size() ? b : a;
    Shape result = longer;
    std::size_t offset = longer.size() - shorter.size();
    for (std::size_t i = 0; i < shorter.size(); ++i) {
        std::int64_t& extent = result[offset + i];
        if (extent == shorter[i] || shorter[i] == 1) continue;
        if (extent != 1)
            throw ShapeError(fmt::format("{}: cannot broadcast {} with {}", operation, to_string(a), to_string(b)));
        extent = shorter[i];
    }
    return result;
}

std::int64_t normalize_axis(std::int64_t axis, std::size_t rank, const std::string& operation) {
    std::int64_t signed_rank = static_cast<std::int64_t>(rank);
    if (axis < -signed_rank || axis >= signed_rank)
        throw ShapeError(fmt::format("{}: axis {} is outside the {} axes of its input", operation, axis, rank));
    return axis < 0 ? axis + signed_rank : axis;
}

} // namespace cotape

#include <cotape/core/shape.hpp>

#include <cmath>
#include <limits>

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

Shape dense_strides(const Shape& shape) {
    Shape strides(shape.size(), 1);
    for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
    return strides;
}

std::int64_t checked_element_count(const Shape& shape, std::string_view operation) {
    std::int64_t count = 1;
    bool zero = false;
    for (std::int64_t extent : shape) {
        if (extent < 0) throw ShapeError(fmt::format("{}: negative extent in {}", operation, to_string(shape)));
        if (extent == 0)
            zero = true;
        else if (__builtin_mul_overflow(count, extent, &count) || count > std::numeric_limits<std::int64_t>::max() / 8)
            throw ShapeError(
                fmt::format("{}: {} has more elements than can be addressed", operation, to_string(shape)));
    }
    return zero ? 0 : count;
}

bool is_dense(const View& view, const Shape& shape) {
    std::int64_t distance = 1;
    for (std::size_t axis = shape.size(); axis-- > 0; distance *= shape[axis])
        if (shape[axis] != 1 && view.strides[axis] != distance) return false;
    return true;
}

void require_representable(double number, Dtype dtype, std::string_view operation) {
    if (is_floating(dtype)) return;
    if (!(std::trunc(number) == number && std::abs(number) < 0x1p63))
        throw DtypeError(fmt::format("{}: cannot use {} with int64 elements", operation, number));
}

Shape broadcast(const Shape& a, const Shape& b, std::string_view operation) {
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

std::int64_t normalize_axis(std::int64_t axis, std::size_t rank, std::string_view operation) {
    std::int64_t signed_rank = static_cast<std::int64_t>(rank);
    if (axis < -signed_rank || axis >= signed_rank)
        throw ShapeError(fmt::format("{}: axis {} is outside the {} axes of its input", operation, axis, rank));
    return axis < 0 ? axis + signed_rank : axis;
}

} // namespace cotape

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include <cotape/core/small_vector.hpp>

namespace cotape {

/// The element types of tensors. float32 and float64 can be differentiated; int64 holds labels and indices.
enum class Dtype : std::uint8_t { float32, float64, int64 };

/// "float32", "float64", "int64".
const char* to_string(Dtype dtype);

/// Bytes of one element.
constexpr std::size_t size_of(Dtype dtype) { return dtype == Dtype::float32 ? 4 : 8; }

constexpr bool is_floating(Dtype dtype) { return dtype != Dtype::int64; }

template <class T>
constexpr Dtype dtype_of();
template <>
constexpr Dtype dtype_of<float>() {
    return Dtype::float32;
}
template <>
constexpr Dtype dtype_of<double>() {
    return Dtype::float64;
}
template <>
constexpr Dtype dtype_of<std::int64_t>() {
    return Dtype::int64;
}

/// The extents of a tensor, outermost first; `{}` is a scalar. Also used for axes and other short integer lists.
using Shape = SmallVector<std::int64_t, 4>;

/// "[32, 784]"; "[]" for a scalar.
std::string to_string(const Shape& shape);

/// The number of elements: the product of the extents, 1 for a scalar.
std::int64_t element_count(const Shape& shape);

/// How far apart neighbours along each axis of a tensor are, in elements.
Shape dense_strides(const Shape& shape);

/// Where the elements of a tensor are in the memory of another: the first, and how far apart neighbours along each axis
/// are, in elements.
struct View {
    std::int64_t offset = 0;
    Shape strides;
};

/// Whether the elements of a tensor of `shape` are side by side there, in row-major order.
bool is_dense(const View& view, const Shape& shape);

/// As element_count, of a shape that nobody has checked yet. Throws ShapeError, naming `operation`, for a negative
/// extent or more elements than can be addressed.
std::int64_t checked_element_count(const Shape& shape, std::string_view operation);

/// What is known of a tensor before its values: shape and element type.
struct Type {
    Shape shape;
    Dtype dtype = Dtype::float32;

    friend bool operator==(const Type& a, const Type& b) {
        return &a == &b || (a.dtype == b.dtype && a.shape == b.shape);
    }
};

/// Throws DtypeError, naming `operation`, where `number` is no element of `dtype`: int64 takes whole numbers alone.
void require_representable(double number, Dtype dtype, std::string_view operation);

/// "float32 [32, 784]".
std::string to_string(const Type& type);

/// The shape that `a` and `b` broadcast to (NumPy's rule: aligned at the last axis, extent 1 stretches).
/// Throws ShapeError, naming `operation`, where they do not fit.
Shape broadcast(const Shape& a, const Shape& b, std::string_view operation);

/// `axis`, counted from the end where negative, as an index into `rank` axes. Throws ShapeError, naming `operation`.
std::int64_t normalize_axis(std::int64_t axis, std::size_t rank, std::string_view operation);

} // namespace cotape

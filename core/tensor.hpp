#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <cotape/core/shape.hpp>

namespace cotape {

/// An immutable dense array: a shape, an element type, and row-major elements that copies share. A default-constructed
/// Tensor is empty: it has no elements and stands for "no value". Safe to read from several threads.
class Tensor {
  public:
    Tensor() = default;

    /// A scalar of the element type of `value`.
    template <class T>
        requires std::is_arithmetic_v<T>
    explicit Tensor(T value, Dtype dtype = default_dtype<T>());

    /// A tensor of `shape` with the given elements, copied, in row-major order.
    /// Throws ShapeError where the count of elements is not the shape's.
    template <class T>
    static Tensor of(const Shape& shape, std::span<const T> elements);
    template <class T>
    static Tensor of(const Shape& shape, const std::vector<T>& elements) {
        return of(shape, std::span<const T>(elements));
    }
    template <class T>
    static Tensor of(const Shape& shape, std::initializer_list<T> elements) {
        return of(shape, std::span<const T>(elements.begin(), elements.size()));
    }

    /// A tensor whose elements are all `value`. Throws DtypeError for int64 elements where it is no whole number in
    /// their range.
    static Tensor full(const Shape& shape, double value, Dtype dtype = Dtype::float32);

    /// A tensor whose elements `fill` writes, all of them, before anyone else sees the tensor.
    template <class T>
    static Tensor make(const Shape& shape, const std::function<void(std::span<T>)>& fill);

    bool empty() const { return storage_ == nullptr; }
    const Type& type() const { return type_; }
    const Shape& shape() const { return type_.shape; }
    Dtype dtype() const { return type_.dtype; }
    std::int64_t size() const { return size_; }
    std::size_t bytes() const { return static_cast<std::size_t>(size_) * size_of(type_.dtype); }

    /// The elements in row-major order; valid as long as some copy of this tensor lives.
    /// Throws DtypeError unless T is the element type.
    template <class T>
    std::span<const T> elements() const;

    /// The only element, as a double. Throws ShapeError unless there is exactly one.
    double item() const;

    /// The element at a row-major position, as a double. Throws ValueError outside the tensor.
    double at(std::int64_t position) const;

    /// The same elements under another shape of as many elements, not copied. Throws ShapeError.
    Tensor reshaped(const Shape& shape) const;

    /// The elements from row-major position `begin` on, under `shape`, not copied. Throws ShapeError where there are
    /// not as many.
    Tensor part(std::int64_t begin, const Shape& shape) const;

    /// The elements converted to another type (the same tensor where it has that type already). Throws ValueError for
    /// one that does not fit into int64.
    Tensor as(Dtype dtype) const;

    /// The elements as untyped memory, under the same lifetime.
    const std::byte* bytes_begin() const { return storage_.get(); }
    /// Where the elements are in memory: equal for tensors that share them.
    std::uintptr_t identity() const { return reinterpret_cast<std::uintptr_t>(storage_.get()); }

    /// Whether that many tensors, and no more, share the elements.
    bool is_held_by(long tensors) const;

    /// True where both are the same elements in memory under the same type.
    friend bool is_same(const Tensor& a, const Tensor& b) {
        return a.storage_ == b.storage_ && a.type_ == b.type_;
    }

  private:
    friend class MutableTensor;

    template <class T>
    static constexpr Dtype default_dtype() {
        if constexpr (std::is_same_v<T, float>) return Dtype::float32;
        if constexpr (std::is_floating_point_v<T>) return Dtype::float64;
        return Dtype::int64;
    }

    Type type_;
    std::int64_t size_ = 0;
    std::shared_ptr<std::byte> storage_;
};

/// The row-major position of the first NaN or infinity, if there is one.
std::optional<std::int64_t> first_non_finite(const Tensor& value);

/// A tensor under construction: its storage, not yet filled, comes from a pool that recycles buffers between steps.
/// A kernel fills `data` and returns `std::move(result).freeze()`; nobody else ever sees unfinished elements.
class MutableTensor {
  public:
    /// Throws ShapeError for a negative extent or a size that overflows.
    explicit MutableTensor(Type type);
    /// In the memory of `old`, which has as many bytes and which nobody reads any more.
    MutableTensor(Type type, Tensor old);

    const Type& type() const { return tensor_.type(); }
    std::int64_t size() const { return tensor_.size(); }
    std::byte* bytes() { return tensor_.storage_.get(); }
    /// The elements to fill. Throws DtypeError unless T is the element type.
    template <class T>
    std::span<T> elements();
    Tensor freeze() && { return std::move(tensor_); }

  private:
    Tensor tensor_;
};

template <class T>
Tensor Tensor::make(const Shape& shape, const std::function<void(std::span<T>)>& fill) {
    MutableTensor result({shape, dtype_of<T>()});
    fill(result.elements<T>());
    return std::move(result).freeze();
}

template <class T>
    requires std::is_arithmetic_v<T>
Tensor::Tensor(T value, Dtype dtype) {
    if (std::is_integral_v<T> && dtype == Dtype::int64)
        *this = of({}, {static_cast<std::int64_t>(value)}); // not by way of a double, which is exact to 2^53 only
    else
        *this = full({}, static_cast<double>(value), dtype);
}

} // namespace cotape

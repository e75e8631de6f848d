#include <cotape/core/tensor.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>

namespace cotape {
namespace {

void require_dtype(Dtype required, Dtype arrived) {
    if (required != arrived)
        throw DtypeError(fmt::format("elements: asked for {}, but the tensor holds {}", to_string(required),
                                     to_string(arrived)));
}

/// Conversion would be undefined behaviour.
void require_int64(const char* operation, double value) {
    if (!(value >= -0x1p63 && value < 0x1p63))
        throw ValueError(fmt::format("{}: {} is not an int64", operation, value));
}

} // namespace

template <class T>
Tensor Tensor::of(const Shape& shape, std::span<const T> elements) {
    MutableTensor result({shape, dtype_of<T>()});
    if (result.size() != static_cast<std::int64_t>(elements.size()))
        throw ShapeError(fmt::format("tensor: shape {} needs {} elements, got {}", to_string(shape), result.size(),
                                     elements.size()));
    std::copy(elements.begin(), elements.end(), result.elements<T>().begin());
    return std::move(result).freeze();
}

Tensor Tensor::full(const Shape& shape, double value, Dtype dtype) {
    require_representable(value, dtype, "full");
    MutableTensor result({shape, dtype});
    visit_dtype(dtype, [&]<class T>(T) { std::ranges::fill(result.elements<T>(), static_cast<T>(value)); });
    return std::move(result).freeze();
}

template <class T>
std::span<const T> Tensor::elements() const {
    require_dtype(dtype_of<T>(), dtype());
    return {reinterpret_cast<const T*>(storage_.get()), static_cast<std::size_t>(size_)};
}

template <class T>
std::span<T> MutableTensor::elements() {
    require_dtype(dtype_of<T>(), type().dtype);
    return {reinterpret_cast<T*>(bytes()), static_cast<std::size_t>(size())};
}

template Tensor Tensor::of(const Shape&, std::span<const float>);
template Tensor Tensor::of(const Shape&, std::span<const double>);
template Tensor Tensor::of(const Shape&, std::span<const std::int64_t>);
template std::span<const float> Tensor::elements() const;
template std::span<const double> Tensor::elements() const;
template std::span<const std::int64_t> Tensor::elements() const;
template std::span<float> MutableTensor::elements();
template std::span<double> MutableTensor::elements();
template std::span<std::int64_t> MutableTensor::elements();

double Tensor::item() const {
    if (size_ != 1) throw ShapeError(fmt::format("item: needs exactly one element, got shape {}", to_string(shape())));
    return at(0);
}

double Tensor::at(std::int64_t position) const {
    if (position < 0 || position >= size_)
        throw ValueError(fmt::format("at: position {} is outside the {} elements of {}", position, size_,
                                     to_string(shape())));
    return visit_dtype(dtype(), [&]<class T>(T) {
        return static_cast<double>(elements<T>()[static_cast<std::size_t>(position)]);
    });
}

bool Tensor::is_held_by(long tensors) const {
    if (storage_.use_count() != tensors) return false;
    std::atomic_thread_fence(std::memory_order_acquire); // what other threads read before they let go is behind us
    return true;
}

Tensor Tensor::reshaped(const Shape& shape) const {
    if (checked_element_count(shape, "reshape") != size_)
        throw ShapeError(fmt::format("reshape: cannot make {} of {}", to_string(shape), to_string(this->shape())));
    Tensor result = *this;
    result.type_.shape = shape;
    return result;
}

Tensor Tensor::part(std::int64_t begin, const Shape& shape) const {
    std::int64_t count = checked_element_count(shape, "part");
    if (begin < 0 || begin > size_ || count > size_ - begin)
        throw ShapeError(fmt::format("part: cannot take {} from element {} of {} on", to_string(shape), begin,
                                     to_string(this->shape())));
    Tensor result;
    result.type_ = {shape, dtype()};
    result.size_ = count;
    std::size_t offset = static_cast<std::size_t>(begin) * size_of(dtype());
    result.storage_ = std::shared_ptr<std::byte>(storage_, storage_.get() + offset);
    return result;
}

Tensor Tensor::as(Dtype dtype) const {
    if (dtype == this->dtype() || empty()) return *this;
    MutableTensor result({shape(), dtype});
    visit_dtype(this->dtype(), [&]<class From>(From) {
        visit_dtype(dtype, [&]<class To>(To) {
            std::ranges::transform(elements<From>(), result.elements<To>().begin(),
                                   [](From value) {
                                       if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>)
                                           require_int64("as", value);
                                       return static_cast<To>(value);
                                   });
        });
    });
    return std::move(result).freeze();
}

MutableTensor::MutableTensor(Type type) {
    tensor_.size_ = checked_element_count(type.shape, "tensor");
    tensor_.type_ = std::move(type);
    tensor_.storage_ = allocate_buffer(tensor_.bytes());
}

MutableTensor::MutableTensor(Type type, Tensor old) : tensor_(std::move(old)) { tensor_.type_ = std::move(type); }

std::optional<std::int64_t> first_non_finite(const Tensor& value) {
    if (!is_floating(value.dtype())) return std::nullopt;
    return visit_floating(value.dtype(), [&]<class T>(T) -> std::optional<std::int64_t> {
        std::span<const T> elements = value.elements<T>();
        auto found = std::ranges::find_if_not(elements, [](T element) { return std::isfinite(element); });
        if (found == elements.end()) return std::nullopt;
        return found - elements.begin();
    });
}

} // namespace cotape

#pragma once

// Tensors from and to xtensor. The only header of Cotape's that includes xtensor: include it where you convert.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnoalias.hpp>

#include <cotape/core/tensor.hpp>

namespace cotape {

/// The elements of an xtensor array or expression, of any layout, copied in row-major order. The element type must be
/// float, double or std::int64_t: cast with xt::cast first. A lazy expression is computed here, once.
template <class Expression>
Tensor to_tensor(const xt::xexpression<Expression>& expression) {
    using T = std::remove_cv_t<typename Expression::value_type>;
    static_assert(std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int64_t>,
                  "to_tensor: the elements must be float, double or std::int64_t; cast with xt::cast");
    const Expression& source = expression.derived_cast();
    MutableTensor result({Shape(source.shape().begin(), source.shape().end()), dtype_of<T>()});
    std::span<T> elements = result.elements<T>();
    std::vector<std::size_t> shape(source.shape().begin(), source.shape().end());
    auto target = xt::adapt<xt::layout_type::row_major>(elements.data(), elements.size(), xt::no_ownership(), shape);
    xt::noalias(target) = source;
    return std::move(result).freeze();
}

/// The elements of `tensor` as an array of their own. Throws DtypeError unless T is the element type.
template <class T>
xt::xarray<T> to_xarray(const Tensor& tensor) {
    std::span<const T> elements = tensor.elements<T>();
    std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
    xt::xarray<T> result = xt::xarray<T>::from_shape(shape);
    std::copy(elements.begin(), elements.end(), result.data());
    return result;
}

/// The elements of `tensor` where they are, not copied, to be read as an xtensor array. Valid as long as some copy of
/// the tensor lives: hence not for temporaries. Throws DtypeError unless T is the element type.
template <class T>
auto xtensor_view(const Tensor& tensor) {
    std::span<const T> elements = tensor.elements<T>();
    std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
    return xt::adapt<xt::layout_type::row_major>(elements.data(), elements.size(), xt::no_ownership(), shape);
}
template <class T>
void xtensor_view(Tensor&& tensor) = delete;

} // namespace cotape

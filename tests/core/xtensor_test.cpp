#include <cotape/core/xtensor.hpp>

#include <cstdint>

#include <doctest/doctest.h>
#include <xtensor/xadapt.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

#include <cotape/core/error.hpp>

using namespace cotape;

namespace {

/// [[0, 1, 2], [3, 4, 5]]
template <class T, xt::layout_type layout = xt::layout_type::row_major>
xt::xarray<T, layout> counted() {
    xt::xarray<T, layout> array = xt::xarray<T, layout>::from_shape({2, 3});
    for (std::size_t i = 0; i < 2; ++i)
        for (std::size_t j = 0; j < 3; ++j) array(i, j) = static_cast<T>(3 * i + j);
    return array;
}

template <class T>
void check_counted(const Tensor& tensor) {
    CHECK(tensor.type() == Type{{2, 3}, dtype_of<T>()});
    for (std::int64_t i = 0; i < 6; ++i) CHECK(tensor.at(i) == i);
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("xtensor arrays of every element type and layout become row-major tensors") {
        check_counted<float>(to_tensor(counted<float>()));
        check_counted<double>(to_tensor(counted<double>()));
        check_counted<std::int64_t>(to_tensor(counted<std::int64_t>()));
        check_counted<float>(to_tensor(counted<float, xt::layout_type::column_major>()));
        xt::xarray<double, xt::layout_type::dynamic> dynamic(std::vector<std::size_t>{2, 3},
                                                             std::vector<std::ptrdiff_t>{1, 2});
        dynamic = counted<double>();
        check_counted<double>(to_tensor(dynamic));
        xt::xtensor<double, 2> fixed_rank = counted<double>();
        check_counted<double>(to_tensor(fixed_rank));
    }

    TEST_CASE("lazy expressions and views are computed as they are converted") {
        xt::xarray<double> array = counted<double>();
        check_counted<double>(to_tensor(array * 2.0 - array));
        check_counted<double>(to_tensor(xt::view(array, xt::all(), xt::range(0, 3))));
        Tensor column = to_tensor(xt::view(array, xt::all(), 1));
        CHECK(column.shape() == Shape{2});
        CHECK(column.at(1) == 4);
        Tensor transposed = to_tensor(xt::transpose(array));
        CHECK(transposed.shape() == Shape{3, 2});
        CHECK(transposed.at(1) == 3);
        xt::xarray<double> row = {10, 20, 30};
        Tensor broadcast = to_tensor(array + row);
        CHECK(broadcast.shape() == Shape{2, 3});
        CHECK(broadcast.at(5) == 35);
        CHECK(to_tensor(xt::sum(array, {0})).at(2) == 7);
        check_counted<float>(to_tensor(xt::cast<float>(array)));
    }

    TEST_CASE("the tensor is a copy: the array may change or go") {
        xt::xarray<float> array = counted<float>();
        Tensor tensor = to_tensor(array);
        array.fill(9);
        array = xt::xarray<float>();
        check_counted<float>(tensor);
    }

    TEST_CASE("scalars and arrays without elements convert both ways") {
        Tensor scalar = to_tensor(xt::xarray<double>(5.0));
        CHECK(scalar.shape() == Shape{});
        CHECK(scalar.item() == 5);
        CHECK(to_xarray<double>(scalar).dimension() == 0);
        CHECK(to_xarray<double>(scalar)() == 5);
        Tensor none = to_tensor(xt::xarray<float>::from_shape({2, 0, 3}));
        CHECK(none.shape() == Shape{2, 0, 3});
        CHECK(to_xarray<float>(none).size() == 0);
    }

    TEST_CASE("a tensor becomes an array of its own") {
        Tensor tensor = Tensor::of<float>({2, 3}, {0, 1, 2, 3, 4, 5});
        xt::xarray<float> array = to_xarray<float>(tensor);
        CHECK(array == counted<float>());
        array(0, 0) = 100;
        CHECK(tensor.at(0) == 0);
        CHECK_THROWS_WITH_AS(to_xarray<double>(tensor), "elements: asked for float64, but the tensor holds float32",
                             DtypeError);
    }

    TEST_CASE("a view reads a tensor's elements where they are, as long as some copy of the tensor lives") {
        Tensor tensor = Tensor::of<double>({2, 3}, {0, 1, 2, 3, 4, 5}), copy = tensor;
        auto view = xtensor_view<double>(tensor);
        CHECK(reinterpret_cast<std::uintptr_t>(view.data()) == tensor.identity());
        tensor = Tensor();
        CHECK(view(1, 2) == 5);
        CHECK(view.shape(0) == 2);
        xt::xarray<double> doubled = 2.0 * view;
        CHECK(doubled(1, 1) == 8);
        check_counted<double>(to_tensor(view));
        CHECK_THROWS_AS(xtensor_view<float>(copy), DtypeError);
    }
}

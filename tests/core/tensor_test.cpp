#include <cotape/core/tensor.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

using namespace cotape;

namespace {

constexpr std::int64_t huge = std::int64_t(1) << 40;

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a tensor holds the elements it is given, in row-major order") {
        Tensor tensor = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
        CHECK(tensor.shape() == Shape{2, 3});
        CHECK(tensor.dtype() == Dtype::float32);
        CHECK(tensor.size() == 6);
        CHECK(tensor.bytes() == 24);
        CHECK(tensor.at(3) == 4);
        CHECK(tensor.elements<float>()[5] == 6);
        CHECK(Tensor::of({2}, std::vector<double>{1, 2}).dtype() == Dtype::float64);
        CHECK(Tensor::of<std::int64_t>({1}, {9}).dtype() == Dtype::int64);
    }

    TEST_CASE("a tensor of a number is a scalar of that number's type") {
        CHECK(Tensor(1.5f).dtype() == Dtype::float32);
        CHECK(Tensor(1.5).dtype() == Dtype::float64);
        CHECK(Tensor(3).dtype() == Dtype::int64);
        CHECK(Tensor(3).shape() == Shape{});
        CHECK(Tensor(3, Dtype::float32).item() == 3);
        CHECK(Tensor(3, Dtype::float32).dtype() == Dtype::float32);
    }

    TEST_CASE("integers beyond the exact range of double stay exact") {
        constexpr std::int64_t odd = (std::int64_t(1) << 53) + 1;
        CHECK(Tensor(odd).elements<std::int64_t>()[0] == odd);
    }

    TEST_CASE("full, make and MutableTensor fill every element") {
        for (double element : Tensor::full({2, 2}, 2.5, Dtype::float64).elements<double>()) CHECK(element == 2.5);
        CHECK(Tensor::full({3}, 7, Dtype::int64).elements<std::int64_t>()[2] == 7);
        CHECK(Tensor::make<float>({2}, [](std::span<float> out) { out[0] = 1, out[1] = 2; }).at(1) == 2);
        MutableTensor result({{2}, Dtype::float32});
        result.elements<float>()[0] = 5;
        result.elements<float>()[1] = 6;
        CHECK(std::move(result).freeze().at(1) == 6);
    }

    TEST_CASE("a tensor may have no elements, which is not the same as no value") {
        Tensor none = Tensor::of<float>({2, 0}, {});
        CHECK_FALSE(none.empty());
        CHECK(none.size() == 0);
        CHECK(none.elements<float>().empty());
        CHECK(Tensor().empty());
        CHECK(Tensor().as(Dtype::float64).empty());
        CHECK(Tensor().elements<float>().empty());
    }

    TEST_CASE("copies and reshaped tensors share their elements") {
        Tensor tensor = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
        Tensor copy = tensor, flat = tensor.reshaped({6});
        CHECK(is_same(copy, tensor));
        CHECK(flat.identity() == tensor.identity());
        CHECK_FALSE(is_same(flat, tensor));
        CHECK(flat.at(4) == 5);
        CHECK_FALSE(is_same(Tensor(1.0), Tensor(1.0)));
        tensor = Tensor();
        CHECK(flat.at(5) == 6);
    }

    TEST_CASE("as converts the elements, and returns the tensor itself where there is nothing to convert") {
        Tensor tensor = Tensor::of<float>({2}, {1.75f, -2.75f});
        CHECK(is_same(tensor.as(Dtype::float32), tensor));
        CHECK(tensor.as(Dtype::float64).elements<double>()[0] == 1.75);
        CHECK(tensor.as(Dtype::int64).elements<std::int64_t>()[1] == -2);
        CHECK(Tensor::of<std::int64_t>({1}, {3}).as(Dtype::float32).elements<float>()[0] == 3);
    }

    TEST_CASE("numbers that are not an int64 are refused") {
        CHECK_THROWS_WITH_AS(Tensor::full({}, NAN, Dtype::int64), "full: cannot use nan with int64 elements",
                             DtypeError);
        CHECK_THROWS_WITH_AS(Tensor::full({}, 1e30, Dtype::int64), "full: cannot use 1e+30 with int64 elements",
                             DtypeError);
        CHECK_THROWS_WITH_AS(Tensor(-1e30).as(Dtype::int64), "as: -1e+30 is not an int64", ValueError);
        CHECK_THROWS_WITH_AS(Tensor(INFINITY).as(Dtype::int64), "as: inf is not an int64", ValueError);
        CHECK(Tensor(-0x1p63).as(Dtype::int64).elements<std::int64_t>()[0] == std::numeric_limits<std::int64_t>::min());
    }

    TEST_CASE("a wrong count of elements is named with the shape") {
        CHECK_THROWS_WITH_AS(Tensor::of<float>({2, 3}, {1, 2}), "tensor: shape [2, 3] needs 6 elements, got 2",
                             ShapeError);
        CHECK_THROWS_WITH_AS(Tensor::of<float>({}, {}), "tensor: shape [] needs 1 elements, got 0", ShapeError);
    }

    TEST_CASE("negative and overflowing extents are refused before anything is allocated") {
        CHECK_THROWS_WITH_AS(Tensor::full({2, -1}, 0), "tensor: negative extent in [2, -1]", ShapeError);
        CHECK_THROWS_WITH_AS(Tensor::full({huge, huge}, 0),
                             "tensor: [1099511627776, 1099511627776] has more elements than can be addressed",
                             ShapeError);
        CHECK_THROWS_WITH_AS(Tensor::full({std::numeric_limits<std::int64_t>::max(), 0, 2}, 0),
                             "tensor: [9223372036854775807, 0, 2] has more elements than can be addressed", ShapeError);
        CHECK_THROWS_WITH_AS(Tensor(1.0).reshaped({-1, -1}), "reshape: negative extent in [-1, -1]", ShapeError);
    }

    TEST_CASE("elements of another type are refused") {
        CHECK_THROWS_WITH_AS(Tensor(1.0).elements<float>(), "elements: asked for float32, but the tensor holds float64",
                             DtypeError);
        MutableTensor result({{}, Dtype::int64});
        CHECK_THROWS_WITH_AS(result.elements<double>(), "elements: asked for float64, but the tensor holds int64",
                             DtypeError);
    }

    TEST_CASE("item needs exactly one element") {
        CHECK(Tensor::of<float>({1, 1}, {3}).item() == 3);
        CHECK_THROWS_WITH_AS(Tensor::full({2}, 0).item(), "item: needs exactly one element, got shape [2]", ShapeError);
        CHECK_THROWS_WITH_AS(Tensor::full({0}, 0).item(), "item: needs exactly one element, got shape [0]", ShapeError);
    }

    TEST_CASE("a position outside the tensor is refused") {
        Tensor tensor = Tensor::full({2, 2}, 0);
        CHECK_THROWS_WITH_AS(tensor.at(4), "at: position 4 is outside the 4 elements of [2, 2]", ValueError);
        CHECK_THROWS_WITH_AS(tensor.at(-1), "at: position -1 is outside the 4 elements of [2, 2]", ValueError);
    }

    TEST_CASE("a shape of another element count is refused") {
        CHECK_THROWS_WITH_AS(Tensor::full({2, 3}, 0).reshaped({4}), "reshape: cannot make [4] of [2, 3]", ShapeError);
    }
}

#include <cmath>
#include <cstddef>
#include <vector>

#include <doctest/doctest.h>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

// One assertion for each xtensor function that the library or its tests rely on: some versions crash, or are silently
// wrong, in their neighbours.

namespace {

const xt::xarray<double> array = {{0, 1, 2}, {3, 4, 5}};
const std::vector<std::size_t> shape = {2, 3};

} // namespace

TEST_SUITE("core") {
    TEST_CASE("xt::adapt without ownership reads and writes the given memory") {
        std::vector<double> memory = {0, 1, 2, 3, 4, 5};
        auto adapted = xt::adapt<xt::layout_type::row_major>(memory.data(), memory.size(), xt::no_ownership(), shape);
        CHECK(adapted(1, 0) == 3);
        adapted(1, 0) = 30;
        CHECK(memory[3] == 30);
    }

    TEST_CASE("xt::adapt takes read-only memory") {
        const std::vector<double> memory = {0, 1, 2, 3, 4, 5};
        CHECK(xt::adapt<xt::layout_type::row_major>(memory.data(), memory.size(), xt::no_ownership(), shape)(1, 2) ==
              5);
    }

    TEST_CASE("assignment with xt::noalias fills an adapted buffer in place, and does not let it grow") {
        std::vector<double> memory(6);
        auto adapted = xt::adapt<xt::layout_type::row_major>(memory.data(), memory.size(), xt::no_ownership(), shape);
        xt::noalias(adapted) = array * 2.0;
        CHECK(memory == std::vector<double>{0, 2, 4, 6, 8, 10});
    }

    TEST_CASE("a column-major array assigned to a row-major one keeps its indices") {
        xt::xarray<double, xt::layout_type::column_major> columns = array;
        CHECK(columns.data()[1] == 3);
        xt::xarray<double> rows = columns;
        CHECK(rows == array);
    }

    TEST_CASE("from_shape makes an array of that shape, in row-major order") {
        xt::xarray<double> made = xt::xarray<double>::from_shape(shape);
        CHECK(made.size() == 6);
        CHECK(made.strides()[0] == 3);
        CHECK(made.data() == &made(0, 0));
    }

    TEST_CASE("arithmetic broadcasts") {
        xt::xarray<double> row = {10, 20, 30}, sum = array + row;
        CHECK(sum(1, 2) == 35);
    }

    TEST_CASE("xt::view and xt::transpose read the right elements") {
        CHECK(xt::view(array, 1, xt::all())(2) == 5);
        CHECK(xt::view(array, xt::all(), xt::range(1, 3))(1, 0) == 4);
        CHECK(xt::transpose(array)(2, 1) == 5);
    }

    TEST_CASE("one reducer a statement into a named container") {
        xt::xarray<double> sums = xt::sum(array, {0}), total = xt::sum(array);
        CHECK(sums(2) == 7);
        CHECK(total() == 15);
    }

    TEST_CASE("xt::cast converts elements, and xt::exp computes them") {
        xt::xarray<float> floats = xt::cast<float>(array);
        CHECK(floats(1, 1) == 4.0f);
        xt::xarray<double> powers = xt::exp(array);
        CHECK(powers(0, 1) == std::exp(1.0));
    }

    TEST_CASE("arrays compare by shape and elements") {
        xt::xarray<double> copy = array;
        CHECK(copy == array);
        copy(0, 0) = 1;
        CHECK(copy != array);
    }

    TEST_CASE("fill sets every element") {
        xt::xarray<double> filled = array;
        filled.fill(7);
        CHECK(filled(1, 2) == 7);
    }
}

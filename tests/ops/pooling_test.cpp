#include <cotape/ops/pooling.hpp>

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>

#include "caller.hpp"

using namespace cotape;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double NaN = std::numeric_limits<double>::quiet_NaN();

template <class T>
std::vector<double> elements_of(const Tensor& tensor) {
    std::span<const T> elements = tensor.elements<T>();
    return {elements.begin(), elements.end()};
}

/// What the windows of two by two of a plane give, and where their gradients of 1, 2, ... go.
template <class T>
void check_maxima(const Shape& plane, const std::vector<double>& x, const std::vector<double>& expected,
                  const std::vector<double>& gradients) {
    Shape shape{1, 1};
    shape.append(plane.begin(), plane.end());
    Tape tape;
    Var input = tape.variable(Tensor::of<double>(shape, x).as(dtype_of<T>()));
    Var y = max_pool2d(input, 2);
    std::vector<double> values = elements_of<T>(y.value());
    REQUIRE(values.size() == expected.size());
    for (std::size_t i = 0; i < values.size(); ++i)
        CHECK((values[i] == expected[i] || (std::isnan(values[i]) && std::isnan(expected[i]))));
    Tensor seed = Tensor::make<T>(y.shape(), [](std::span<T> elements) {
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<T>(i + 1);
    });
    CHECK(elements_of<T>(gradient(y, input, tape.constant(seed)).value()) == gradients);
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE_TEMPLATE("a maximum gives its gradient to the first of equals, and NaN wins", T, float, double) {
        check_maxima<T>({2, 2}, {3, 3, 3, 3}, {3}, {1, 0, 0, 0});
        check_maxima<T>({2, 2}, {1, 2, 2, 0}, {2}, {0, 1, 0, 0});
        check_maxima<T>({2, 2}, {1, 0, 5, 5}, {5}, {0, 0, 1, 0});
        check_maxima<T>({2, 2}, {1, NaN, 5, NaN}, {NaN}, {0, 1, 0, 0});
        check_maxima<T>({2, 2}, {infinity, 0, NaN, 1}, {NaN}, {0, 0, 1, 0});
        check_maxima<T>({2, 2}, {NaN, infinity, 0, 0}, {NaN}, {1, 0, 0, 0});
        check_maxima<T>({2, 2}, {-infinity, -infinity, -infinity, -infinity}, {-infinity}, {1, 0, 0, 0});
        check_maxima<T>({2, 2}, {0.0, -0.0, 0.0, 0.0}, {0}, {1, 0, 0, 0});
    }

    TEST_CASE_TEMPLATE("ties and NaN are decided alike in rows of many windows", T, float, double) {
        constexpr std::size_t columns = 38; // windows for whole vectors, and a rest
        std::vector<double> x(2 * columns), expected, gradients(2 * columns);
        for (std::size_t i = 0; i < columns / 2; ++i) {
            std::size_t places[4] = {2 * i, 2 * i + 1, columns + 2 * i, columns + 2 * i + 1};
            for (std::size_t k = 0; k < 4; ++k) x[places[k]] = static_cast<double>((i * (k + 3)) % 3);
            if (i % 5 == 0) x[places[i % 4]] = NaN;
            std::size_t first = 0;
            for (std::size_t k = 1; k < 4; ++k)
                if (!std::isnan(x[places[first]]) && !(x[places[k]] <= x[places[first]])) first = k;
            expected.push_back(x[places[first]]);
            gradients[places[first]] = static_cast<double>(i + 1);
        }
        check_maxima<T>({2, columns}, x, expected, gradients);
    }

    TEST_CASE("inputs that no window reaches get no gradient, and shared ones the sum") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({1, 1, 5}, {1, 9, 2, 3, 7}));
        Var y = max_pool1d(x, 3, {.stride = 1});
        Var apart = max_pool1d(x, 2);
        CHECK(elements_of<double>(y.value()) == std::vector<double>{9, 9, 7});
        CHECK(elements_of<double>(gradient(y, x, tape.constant(Tensor::of<double>({1, 1, 3}, {1, 2, 4}))).value()) ==
              std::vector<double>{0, 3, 0, 0, 4});
        CHECK(elements_of<double>(gradient(apart, x, tape.constant(Tensor::of<double>({1, 1, 2}, {1, 2}))).value()) ==
              std::vector<double>{0, 1, 0, 2, 0});
    }

    TEST_CASE_FIXTURE(Caller, "pooling refuses what no window fits, and says how") {
        Var x = of({2, 3, 4, 5}), length = of({2, 3, 4}), empty = of({2, 3, 0, 4}), integers = positions({1, 1, 4, 4});
        throws<ShapeError>("max_pool2d: needs an input of rank 4, got [2, 3, 4]", [&] { max_pool2d(length, 2); });
        throws<ShapeError>("avg_pool1d: needs an input of rank 3, got [2, 3, 4, 5]", [&] { avg_pool1d(x, 2); });
        throws<ShapeError>("max_pool2d: a window of 6 does not fit into 4 padded by 0", [&] { max_pool2d(x, 6); });
        throws<ShapeError>("max_pool2d: a window of 5 does not fit into 4 padded by 0",
                           [&] { max_pool2d(x, 3, {.dilation = 2}); });
        throws<ShapeError>("max_pool2d: kernel_size needs one number or 2, got [1, 2, 3]",
                           [&] { max_pool2d(x, {1, 2, 3}); });
        throws<ValueError>("max_pool2d: kernel_size must be from 1 to 2147483648, got 0",
                           [&] { max_pool2d(x, {2, 0}); });
        throws<ValueError>("avg_pool2d: stride must be from 1 to 2147483648, got -1",
                           [&] { avg_pool2d(x, 2, {.stride = -1}); });
        throws<ValueError>("max_pool2d: padding must be at most half the window, got 2 for a window of 3",
                           [&] { max_pool2d(x, 3, {.padding = 2}); });
        throws<ValueError>("avg_pool2d: padding must be at most half the window, got 2 for a window of 2",
                           [&] { avg_pool2d(x, 2, {.padding = {0, 2}}); });
        throws<ValueError>("avg_pool2d: divisor_override must not be 0",
                           [&] { avg_pool2d(x, 2, {.divisor_override = 0}); });
        throws<ValueError>("adaptive_avg_pool2d: output_size must be at least 1, got 0",
                           [&] { adaptive_avg_pool2d(x, {1, 0}); });
        throws<ShapeError>("adaptive_avg_pool2d: needs at least one element to pool, got extents [0, 4]",
                           [&] { adaptive_avg_pool2d(empty, 1); });
        throws<DtypeError>("max_pool2d: needs float32 or float64, got int64", [&] { max_pool2d(integers, 2); });
        throws<DtypeError>("avg_pool2d: needs float32 or float64, got int64", [&] { avg_pool2d(integers, 2); });
    }

    TEST_CASE_FIXTURE(Caller, "pooling refuses a window of which no element lies in the input") {
        Var x = of({1, 1, 1});
        throws<ShapeError>("max_pool1d: a window lies beside the extents [1]",
                           [&] { max_pool1d(x, 2, {.padding = 3, .dilation = 5}); });
    }
}

#include <cotape/core/shape.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("shapes, element types and types print as in messages") {
        CHECK(to_string(Shape{}) == "[]");
        CHECK(to_string(Shape{7}) == "[7]");
        CHECK(to_string(Shape{32, 784}) == "[32, 784]");
        CHECK(to_string(Shape{1, 2, 3, 4, 5, 6}) == "[1, 2, 3, 4, 5, 6]");
        CHECK(to_string(Type{{}, Dtype::int64}) == "int64 []");
        CHECK(to_string(Type{{32, 784}, Dtype::float32}) == "float32 [32, 784]");
        CHECK(to_string(Type{{3}, Dtype::float64}) == "float64 [3]");
    }

    TEST_CASE("element types know their size and whether they can be differentiated") {
        CHECK(size_of(Dtype::float32) == sizeof(float));
        CHECK(size_of(Dtype::float64) == sizeof(double));
        CHECK(size_of(Dtype::int64) == sizeof(std::int64_t));
        CHECK(is_floating(Dtype::float32));
        CHECK(is_floating(Dtype::float64));
        CHECK_FALSE(is_floating(Dtype::int64));
    }

    TEST_CASE("a shape counts its elements, one for a scalar") {
        CHECK(element_count({}) == 1);
        CHECK(element_count({4}) == 4);
        CHECK(element_count({2, 3, 4}) == 24);
        CHECK(element_count({2, 0, 4}) == 0);
    }

    TEST_CASE("shapes broadcast by NumPy's rule") {
        CHECK(broadcast({2, 3}, {2, 3}, "f") == Shape{2, 3});
        CHECK(broadcast({2, 3}, {3}, "f") == Shape{2, 3});
        CHECK(broadcast({3}, {2, 3}, "f") == Shape{2, 3});
        CHECK(broadcast({2, 1}, {1, 3}, "f") == Shape{2, 3});
        CHECK(broadcast({}, {4, 5}, "f") == Shape{4, 5});
        CHECK(broadcast({5, 1, 7}, {6, 1}, "f") == Shape{5, 6, 7});
        CHECK(broadcast({0}, {1}, "f") == Shape{0});
        CHECK(broadcast({1}, {0}, "f") == Shape{0});
    }

    TEST_CASE("shapes that do not broadcast are both named") {
        CHECK_THROWS_WITH_AS(broadcast({2, 3}, {2}, "add"), "add: cannot broadcast [2, 3] with [2]", ShapeError);
        CHECK_THROWS_WITH_AS(broadcast({4}, {2, 3}, "add"), "add: cannot broadcast [4] with [2, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(broadcast({0}, {2}, "add"), "add: cannot broadcast [0] with [2]", ShapeError);
    }

    TEST_CASE("axes count from the front, or from the end where negative") {
        CHECK(normalize_axis(0, 3, "sum") == 0);
        CHECK(normalize_axis(2, 3, "sum") == 2);
        CHECK(normalize_axis(-1, 3, "sum") == 2);
        CHECK(normalize_axis(-3, 3, "sum") == 0);
    }

    TEST_CASE("an axis out of range is named with the rank") {
        CHECK_THROWS_WITH_AS(normalize_axis(3, 3, "sum"), "sum: axis 3 is outside the 3 axes of its input", ShapeError);
        CHECK_THROWS_WITH_AS(normalize_axis(-4, 3, "sum"), "sum: axis -4 is outside the 3 axes of its input",
                             ShapeError);
        CHECK_THROWS_WITH_AS(normalize_axis(0, 0, "sum"), "sum: axis 0 is outside the 0 axes of its input", ShapeError);
    }
}

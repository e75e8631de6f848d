#include <cotape/core/small_vector.hpp>

#include <cstddef>
#include <string>
#include <utility>

#include <doctest/doctest.h>

using cotape::SmallVector;

namespace {

using Vector = SmallVector<int, 2>;

/// 0, 1, ..., count - 1.
Vector counted(int count) {
    Vector result;
    for (int i = 0; i < count; ++i) result.push_back(i);
    return result;
}

bool is_in_place(const Vector& vector) {
    auto inside = reinterpret_cast<const char*>(vector.data()) - reinterpret_cast<const char*>(&vector);
    return inside >= 0 && inside < static_cast<std::ptrdiff_t>(sizeof vector);
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a small vector keeps up to N values in place and moves to the heap beyond that") {
        Vector vector;
        CHECK(vector.empty());
        for (int i = 0; i < 2; ++i) vector.push_back(i);
        CHECK(is_in_place(vector));
        vector.push_back(2);
        CHECK_FALSE(is_in_place(vector));
        CHECK(vector == Vector{0, 1, 2});
        CHECK(vector.size() == 3);
        CHECK(vector.back() == 2);
        for (int i = 3; i < 100; ++i) vector.push_back(i);
        CHECK(vector == counted(100));
    }

    TEST_CASE("a small vector is equal to another with the same values, wherever either keeps them") {
        Vector long_then_short = counted(5);
        long_then_short.resize(2);
        CHECK(long_then_short == Vector{0, 1});
        CHECK_FALSE(long_then_short == Vector{0, 2});
        CHECK_FALSE(long_then_short == Vector{0});
    }

    TEST_CASE("copies of a small vector are independent") {
        for (int count : {0, 1, 2, 3, 50})
            SUBCASE(std::to_string(count).c_str()) {
                Vector original = counted(count);
                Vector copy = original;
                copy.push_back(7);
                CHECK(original == counted(count));
                CHECK(copy.size() == original.size() + 1);
                for (int before : {0, 2, 9}) {
                    Vector assigned = counted(before);
                    assigned = original;
                    CHECK(assigned == original);
                }
            }
    }

    TEST_CASE("moving a small vector takes its values and leaves it empty and usable") {
        for (int count : {0, 1, 2, 3, 50})
            SUBCASE(std::to_string(count).c_str()) {
                Vector original = counted(count);
                Vector moved = std::move(original);
                CHECK(moved == counted(count));
                CHECK(original.empty());
                original.push_back(1);
                CHECK(original == Vector{1});
                for (int before : {0, 2, 9}) {
                    Vector from = counted(count), to = counted(before);
                    to = std::move(from);
                    CHECK(to == counted(count));
                    CHECK(from.empty());
                }
            }
    }

    TEST_CASE("a small vector survives assignment to itself") {
        for (int count : {2, 5})
            SUBCASE(std::to_string(count).c_str()) {
                Vector vector = counted(count);
                Vector& self = vector;
                vector = self;
                CHECK(vector == counted(count));
                vector = std::move(self);
                CHECK(vector == counted(count));
            }
    }

    TEST_CASE("a small vector takes a value of its own as it grows") {
        Vector vector{4, 5};
        vector.push_back(vector[0]);
        CHECK(vector == Vector{4, 5, 4});
    }

    TEST_CASE("resizing fills a small vector with the given value, or with zeros") {
        Vector vector(3, 8);
        CHECK(vector == Vector{8, 8, 8});
        vector.resize(4);
        CHECK(vector == Vector{8, 8, 8, 0});
        vector.resize(1);
        CHECK(vector == Vector{8});
        CHECK(Vector(std::size_t(2)) == Vector{0, 0});
    }
}

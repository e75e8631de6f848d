#include <cotape/core/dispatch.hpp>

#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/cpu.hpp>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("visiting an element type calls with a value of the C++ type it stands for") {
        for (Dtype dtype : {Dtype::float32, Dtype::float64, Dtype::int64})
            CHECK(visit_dtype(dtype, []<class T>(T) { return dtype_of<T>(); }) == dtype);
        for (Dtype dtype : {Dtype::float32, Dtype::float64})
            CHECK(visit_floating(dtype, []<class T>(T) { return dtype_of<T>(); }) == dtype);
    }

    TEST_CASE("a vectorised loop gives the bits of a plain one") {
        std::vector<float> a(1003), b(1003), plain(1003), vectorised(1003);
        for (std::size_t i = 0; i < a.size(); ++i) {
            a[i] = 1.0f / static_cast<float>(i + 3);
            b[i] = 0.1f * static_cast<float>(i);
            plain[i] = a[i] * b[i] + a[i];
        }
        run_vectorized([&]() __attribute__((always_inline)) {
            for (std::size_t i = 0; i < a.size(); ++i) vectorised[i] = a[i] * b[i] + a[i];
        });
        CHECK(vectorised == plain);
    }
}

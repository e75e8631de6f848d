#include <cstdlib>

#include <doctest/doctest.h>

#include <cotape/ops/runtime_info.hpp>

using namespace cotape;

TEST_SUITE("ops") {
    TEST_CASE("runtime_info names the instruction set, the threads, and what multiplies matrices") {
        std::string information = runtime_info();
        for (const char* name : {"instruction set: ", "threads: ", "float32 products: ", "float64 products: OpenBLAS"})
            CHECK(information.find(name) != std::string::npos);
    }

    TEST_CASE("float32 products go to the library that the test is to run with") {
        // Meson's tests say which; a program that is started by hand takes either.
        const char* library = std::getenv("COTAPE_TEST_PRODUCTS");
        CHECK(runtime_info().find(std::string("float32 products: ") + (library ? library : "O")) != std::string::npos);
    }
}

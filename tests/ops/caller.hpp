#pragma once

#include <doctest/doctest.h>

#include <cotape/core/tape.hpp>

/// Variables of one tape, and a check that a call throws and leaves the tape as it was.
struct Caller {
    cotape::Tape tape;

    cotape::Var of(const cotape::Shape& shape, cotape::Dtype dtype = cotape::Dtype::float64) {
        return tape.variable(cotape::Tensor::full(shape, 1, dtype));
    }
    cotape::Var positions(const cotape::Shape& shape, std::int64_t value = 0) {
        return tape.constant(cotape::Tensor::full(shape, static_cast<double>(value), cotape::Dtype::int64));
    }

    template <class Expected, class Call>
    void throws(const char* message, Call call) {
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(call(), message, Expected);
        CHECK(tape.size() == size);
    }
};

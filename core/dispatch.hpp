#pragma once

#include <cstdint>

#include <cotape/core/shape.hpp>

namespace cotape {

/// Calls `function` with a value of the C++ type that `dtype` stands for, and returns what it returns.
template <class Function>
auto visit_dtype(Dtype dtype, Function&& function) {
    switch (dtype) {
    case Dtype::float32: return function(float());
    case Dtype::float64: return function(double());
    case Dtype::int64: break;
    }
    return function(std::int64_t());
}

/// As visit_dtype, for operations that have checked that `dtype` is floating.
template <class Function>
auto visit_floating(Dtype dtype, Function&& function) {
    return dtype == Dtype::float32 ? function(float()) : function(double());
}

} // namespace cotape

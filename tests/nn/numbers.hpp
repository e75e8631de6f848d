#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <cotape/core/tensor.hpp>

namespace cotape::testing {

/// Numbers between -1 and 1 that look random, float32 unless told otherwise.
template <class T = float>
Tensor scattered(const Shape& shape, double phase = 0) {
    return Tensor::make<T>(shape, [&](std::span<T> elements) {
        for (std::size_t i = 0; i < elements.size(); ++i)
            elements[i] = static_cast<T>(std::sin(12.9898 * static_cast<double>(i + 1) + phase));
    });
}

inline std::vector<double> elements_of(const Tensor& tensor) {
    std::vector<double> elements;
    for (std::int64_t i = 0; i < tensor.size(); ++i) elements.push_back(tensor.at(i));
    return elements;
}

/// The largest distance between elements; NaN where one is NaN, infinite where there are not as many.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size()) return INFINITY;
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!(std::abs(a[i] - b[i]) <= largest)) largest = std::abs(a[i] - b[i]);
    return largest;
}

inline double distance(const Tensor& a, const std::vector<double>& b) { return distance(elements_of(a), b); }

/// True where both have the same type and the same bits.
inline bool same_bits(const Tensor& a, const Tensor& b) {
    return a.type() == b.type() && std::equal(a.bytes_begin(), a.bytes_begin() + a.bytes(), b.bytes_begin());
}

inline bool all_finite(const Tensor& tensor) {
    return std::ranges::all_of(elements_of(tensor), [](double element) { return std::isfinite(element); });
}

} // namespace cotape::testing

#pragma once

#include <array>
#include <vector>

#include <cotape/ops/sliding_axis.hpp>

namespace cotape {

/// The windows of a pooling: `planes` of the same extents (one for each image and channel), over three spatial axes, of
/// which the first are trivial where there are fewer.
struct Pooling {
    /// What one output reads along one axis: `count` inputs from `first` on, `step` apart, of a window of `size`.
    struct Window {
        std::int64_t first = 0, count = 1, step = 1, size = 1;
    };

    std::int64_t planes = 0;
    std::array<std::int64_t, 3> input{1, 1, 1};
    std::array<std::vector<Window>, 3> windows{std::vector<Window>(1), std::vector<Window>(1),
                                               std::vector<Window>(1)};
    /// Divides the sums of all windows instead of the product of the sizes; 0 for none.
    std::int64_t divisor = 0;

    std::int64_t output(std::size_t axis) const { return static_cast<std::int64_t>(windows[axis].size()); }
    std::int64_t input_plane() const { return input[0] * input[1] * input[2]; }
    std::int64_t output_plane() const { return output(0) * output(1) * output(2); }
};

/// The elements of `v` at the places where each window of `x` has its maximum.
template <class T>
void select_maxima(const Pooling& pooling, const T* x, const T* v, T* result);

/// The adjoint of select_maxima for v: zeros, to which the elements of `g` are added where the maxima of `x` are.
template <class T>
void scatter_to_maxima(const Pooling& pooling, const T* x, const T* g, T* result);

/// The mean of each window.
template <class T>
void average(const Pooling& pooling, const T* x, T* result);

/// The adjoint of average: each element of `g` shared out among the inputs of its window.
template <class T>
void share_out(const Pooling& pooling, const T* g, T* result);

} // namespace cotape

#include <cotape/ops/pooling_kernel.hpp>

#include <algorithm>

namespace cotape {
namespace {

using Window = Pooling::Window;

constexpr std::int64_t elements_worth_threads = 16 * 1024;

/// Calls `function(plane of x, plane of y)` with where the planes begin, on several threads where that pays.
template <class Function>
void for_each_plane(const Pooling& pooling, Function&& function) {
    std::int64_t inputs = pooling.input_plane(), outputs = pooling.output_plane();
#pragma omp parallel for if (pooling.planes * inputs >= elements_worth_threads)
    for (std::int64_t plane = 0; plane < pooling.planes; ++plane) function(plane * inputs, plane * outputs);
}

/// Calls `function` with each output of a plane and its windows along the three axes, in row-major order.
template <class Function>
void for_each_window(const Pooling& pooling, Function&& function) {
    std::int64_t output = 0;
    for (const Window& d : pooling.windows[0])
        for (const Window& h : pooling.windows[1])
            for (const Window& w : pooling.windows[2]) function(output++, d, h, w);
}

/// Calls `function` with the position of each input of a window, in row-major order.
template <class Function>
[[gnu::always_inline]] inline void for_each_input(const Pooling& pooling, const Window& d, const Window& h,
                                                  const Window& w, Function&& function) {
    for (std::int64_t i = 0; i < d.count; ++i)
        for (std::int64_t j = 0; j < h.count; ++j) {
            std::int64_t row = ((d.first + i * d.step) * pooling.input[1] + h.first + j * h.step) * pooling.input[2];
            for (std::int64_t k = 0; k < w.count; ++k) function(row + w.first + k * w.step);
        }
}

/// Calls `function` with each output of a plane and the position of the first maximum, or NaN, of its window.
template <class T, class Function>
void for_each_maximum(const Pooling& pooling, const T* plane, Function&& function) {
    for_each_window(pooling, [&](std::int64_t output, const Window& d, const Window& h, const Window& w) {
        std::int64_t best = (d.first * pooling.input[1] + h.first) * pooling.input[2] + w.first;
        for_each_input(pooling, d, h, w, [&](std::int64_t position) {
            T value = plane[position], largest = plane[best];
            if ((value > largest || value != value) && largest == largest) best = position;
        });
        function(output, best);
    });
}

template <class T>
T divisor_of(const Pooling& pooling, const Window& d, const Window& h, const Window& w) {
    return static_cast<T>(pooling.divisor != 0 ? pooling.divisor : d.size * h.size * w.size);
}

} // namespace

template <class T>
void select_maxima(const Pooling& pooling, const T* x, const T* v, T* result) {
    for_each_plane(pooling, [&](std::int64_t inputs, std::int64_t outputs) {
        for_each_maximum(pooling, x + inputs, [&](std::int64_t output, std::int64_t position) {
            result[outputs + output] = v[inputs + position];
        });
    });
}

template <class T>
void scatter_to_maxima(const Pooling& pooling, const T* x, const T* g, T* result) {
    for_each_plane(pooling, [&](std::int64_t inputs, std::int64_t outputs) {
        std::fill_n(result + inputs, pooling.input_plane(), T(0));
        for_each_maximum(pooling, x + inputs, [&](std::int64_t output, std::int64_t position) {
            result[inputs + position] += g[outputs + output];
        });
    });
}

template <class T>
void average(const Pooling& pooling, const T* x, T* result) {
    for_each_plane(pooling, [&](std::int64_t inputs, std::int64_t outputs) {
        for_each_window(pooling, [&](std::int64_t output, const Window& d, const Window& h, const Window& w) {
            T sum = 0;
            for_each_input(pooling, d, h, w, [&](std::int64_t position) { sum += x[inputs + position]; });
            result[outputs + output] = sum / divisor_of<T>(pooling, d, h, w);
        });
    });
}

template <class T>
void share_out(const Pooling& pooling, const T* g, T* result) {
    for_each_plane(pooling, [&](std::int64_t inputs, std::int64_t outputs) {
        std::fill_n(result + inputs, pooling.input_plane(), T(0));
        for_each_window(pooling, [&](std::int64_t output, const Window& d, const Window& h, const Window& w) {
            T share = g[outputs + output] / divisor_of<T>(pooling, d, h, w);
            for_each_input(pooling, d, h, w, [&](std::int64_t position) { result[inputs + position] += share; });
        });
    });
}

template void select_maxima(const Pooling&, const float*, const float*, float*);
template void select_maxima(const Pooling&, const double*, const double*, double*);
template void scatter_to_maxima(const Pooling&, const float*, const float*, float*);
template void scatter_to_maxima(const Pooling&, const double*, const double*, double*);
template void average(const Pooling&, const float*, float*);
template void average(const Pooling&, const double*, double*);
template void share_out(const Pooling&, const float*, float*);
template void share_out(const Pooling&, const double*, double*);

} // namespace cotape

#include <cotape/ops/pooling_kernel.hpp>

#include <algorithm>
#include <cstring>

namespace cotape {
namespace {

using Window = Pooling::Window;

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

/// Whether the windows are the 2 by 2 squares that a plane falls into, at least `least` side by side.
bool are_squares(const Pooling& pooling, std::int64_t least) {
    auto are = [&](std::size_t axis, std::int64_t extent) {
        std::int64_t output = 0;
        return std::ranges::all_of(pooling.windows[axis], [&](const Window& window) {
            return window.first == extent * output++ && window.count == extent && window.step == 1;
        });
    };
    return are(0, 1) && are(1, 2) && are(2, 2) && pooling.output(2) >= least;
}

/// A few neighbours, chosen from without branches: the choices are as good as random to a processor.
template <class T>
struct Few {
    static constexpr std::int64_t count = 16 / sizeof(T);
    typedef T Vector __attribute__((vector_size(16)));

    static Vector load(const T* from) {
        Vector vector;
        std::memcpy(&vector, from, sizeof vector);
        return vector;
    }
    static void store(Vector vector, T* to) { std::memcpy(to, &vector, sizeof vector); }

    /// The elements at even, or odd, places of two vectors.
    static Vector even(Vector a, Vector b) {
        if constexpr (count == 4) return __builtin_shufflevector(a, b, 0, 2, 4, 6);
        else return __builtin_shufflevector(a, b, 0, 2);
    }
    static Vector odd(Vector a, Vector b) {
        if constexpr (count == 4) return __builtin_shufflevector(a, b, 1, 3, 5, 7);
        else return __builtin_shufflevector(a, b, 1, 3);
    }
    /// Two vectors element by element in turn: the first half of that, and the second.
    static Vector first_mixed(Vector a, Vector b) {
        if constexpr (count == 4) return __builtin_shufflevector(a, b, 0, 4, 1, 5);
        else return __builtin_shufflevector(a, b, 0, 2);
    }
    static Vector last_mixed(Vector a, Vector b) {
        if constexpr (count == 4) return __builtin_shufflevector(a, b, 2, 6, 3, 7);
        else return __builtin_shufflevector(a, b, 1, 3);
    }
};

/// As many squares side by side as `Few` has places: their elements left and right, in the row above and that below.
template <class T>
struct Squares {
    using Vector = typename Few<T>::Vector;
    Vector left, right, left_below, right_below;

    Squares(const T* above, const T* below) {
        Vector first = Few<T>::load(above), second = Few<T>::load(above + Few<T>::count);
        left = Few<T>::even(first, second), right = Few<T>::odd(first, second);
        first = Few<T>::load(below), second = Few<T>::load(below + Few<T>::count);
        left_below = Few<T>::even(first, second), right_below = Few<T>::odd(first, second);
    }
};

/// All ones where `later` is the maximum of two, or the first NaN.
template <class Vector>
auto beats(Vector later, Vector earlier) {
    return ~(later <= earlier) & (earlier == earlier);
}

/// Calls `function` with places so that runs of Few<T>::count from there cover `count`, the last of which may overlap.
template <class T, class Function>
void for_each_few(std::int64_t count, Function&& function) {
    std::int64_t i = 0;
    for (; i + Few<T>::count <= count; i += Few<T>::count) function(i);
    if (i < count) function(count - Few<T>::count);
}

template <class T>
void select_in_squares(std::int64_t count, const T* x, const T* v, std::int64_t width, T* result) {
    for_each_few<T>(count, [&](std::int64_t i) {
        Squares<T> of_x(x + 2 * i, x + width + 2 * i), of_v(v + 2 * i, v + width + 2 * i);
        auto right = beats(of_x.right, of_x.left), right_below = beats(of_x.right_below, of_x.left_below);
        auto above = right ? of_x.right : of_x.left, below = right_below ? of_x.right_below : of_x.left_below;
        auto of_above = right ? of_v.right : of_v.left, of_below = right_below ? of_v.right_below : of_v.left_below;
        Few<T>::store(beats(below, above) ? of_below : of_above, result + i);
    });
}

template <class T>
void scatter_in_squares(std::int64_t count, const T* x, const T* g, std::int64_t width, T* result) {
    using Vector = typename Few<T>::Vector;
    constexpr Vector zero{};
    auto write = [](Vector left, Vector right, T* to) {
        Few<T>::store(Few<T>::first_mixed(left, right), to);
        Few<T>::store(Few<T>::last_mixed(left, right), to + Few<T>::count);
    };
    for_each_few<T>(count, [&](std::int64_t i) {
        Squares<T> of_x(x + 2 * i, x + width + 2 * i);
        auto right = beats(of_x.right, of_x.left), right_below = beats(of_x.right_below, of_x.left_below);
        auto above = right ? of_x.right : of_x.left, below = right_below ? of_x.right_below : of_x.left_below;
        auto is_below = beats(below, above);
        Vector slope = Few<T>::load(g + i);
        Vector to_above = is_below ? zero : slope, to_below = is_below ? slope : zero;
        write(right ? zero : to_above, right ? to_above : zero, result + 2 * i);
        write(right_below ? zero : to_below, right_below ? to_below : zero, result + width + 2 * i);
    });
}

/// Calls `function` with where each row of squares begins in the input, and its outputs, of a plane.
template <class Function>
void for_each_row_of_squares(const Pooling& pooling, Function&& function) {
    for (std::int64_t d = 0; d < pooling.output(0); ++d)
        for (std::int64_t h = 0; h < pooling.output(1); ++h)
            function((d * pooling.input[1] + 2 * h) * pooling.input[2],
                     (d * pooling.output(1) + h) * pooling.output(2));
}

template <class T>
T divisor_of(const Pooling& pooling, const Window& d, const Window& h, const Window& w) {
    return static_cast<T>(pooling.divisor != 0 ? pooling.divisor : d.size * h.size * w.size);
}

} // namespace

template <class T>
void select_maxima(const Pooling& pooling, const T* x, const T* v, T* result) {
    bool squares = are_squares(pooling, Few<T>::count);
    std::int64_t width = pooling.input[2];
    for_each_plane(pooling, [&](std::int64_t inputs, std::int64_t outputs) {
        if (squares)
            return for_each_row_of_squares(pooling, [&](std::int64_t from, std::int64_t to) {
                select_in_squares(pooling.output(2), x + inputs + from, v + inputs + from, width,
                                  result + outputs + to);
            });
        for_each_maximum(pooling, x + inputs, [&](std::int64_t output, std::int64_t position) {
            result[outputs + output] = v[inputs + position];
        });
    });
}

template <class T>
void scatter_to_maxima(const Pooling& pooling, const T* x, const T* g, T* result) {
    bool squares = are_squares(pooling, Few<T>::count);
    bool squares_cover = squares && 4 * pooling.output_plane() == pooling.input_plane();
    std::int64_t width = pooling.input[2];
    for_each_plane(pooling, [&](std::int64_t inputs, std::int64_t outputs) {
        if (!squares_cover) std::fill_n(result + inputs, pooling.input_plane(), T(0));
        if (squares)
            return for_each_row_of_squares(pooling, [&](std::int64_t to, std::int64_t from) {
                scatter_in_squares(pooling.output(2), x + inputs + to, g + outputs + from, width, result + inputs + to);
            });
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

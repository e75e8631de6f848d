#include <cotape/ops/pooling.hpp>

#include <algorithm>
#include <cmath>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// The elements of one window, with the number that a mean of them divides by.
struct Window {
    std::vector<double> values;
    double size = 1;
};

/// Each output from its window of x: the positions, along each axis, from `first` on, `step` apart, before `last`; what
/// lies outside x is left out. `padded` is how far the padding reaches beyond x, for sizes that count it.
struct Span {
    std::int64_t first, last, step, padded;
};
using SpanOf = std::function<Span(std::size_t axis, std::int64_t output)>;

Reference pooled(Shape output, SpanOf span_of, bool counts_padding, double (*function)(const Window&)) {
    return [=](const Arrays& x) {
        return Array(output, [&](const Shape& index) {
            Window window;
            Shape counts;
            std::vector<Span> spans;
            for (std::size_t axis = 2; axis < index.size(); ++axis) {
                Span span = span_of(axis - 2, index[axis]);
                std::int64_t extent = x[0].shape[axis], inside = 0, counted = 0;
                for (std::int64_t at = span.first; at < span.last; at += span.step) {
                    inside += at >= 0 && at < extent;
                    counted += at < extent + span.padded;
                }
                window.size *= static_cast<double>(counts_padding ? counted : inside);
                counts.push_back((span.last - span.first + span.step - 1) / span.step);
                spans.push_back(span);
            }
            for (const Shape& tap : indices_of(counts)) {
                Shape from = index;
                bool inside = true;
                for (std::size_t axis = 0; axis < tap.size(); ++axis) {
                    from[2 + axis] = spans[axis].first + tap[axis] * spans[axis].step;
                    inside = inside && from[2 + axis] >= 0 && from[2 + axis] < x[0].shape[2 + axis];
                }
                if (inside) window.values.push_back(x[0][from]);
            }
            return function(window);
        });
    };
}

double largest(const Window& window) { return *std::max_element(window.values.begin(), window.values.end()); }

double sum(const Window& window) {
    double total = 0;
    for (double value : window.values) total += value;
    return total;
}

double mean(const Window& window) { return sum(window) / window.size; }
double third(const Window& window) { return sum(window) / 3; }

SpanOf sliding(const PerAxis& kernel, const PerAxis& stride, const PerAxis& padding, const PerAxis& dilation,
               std::size_t axes) {
    Shape k = kernel.over(axes, "", ""), s = stride.values.empty() ? k : stride.over(axes, "", "");
    Shape p = padding.over(axes, "", ""), d = dilation.over(axes, "", "");
    return [=](std::size_t axis, std::int64_t output) {
        std::int64_t first = output * s[axis] - p[axis];
        return Span{first, first + d[axis] * (k[axis] - 1) + 1, d[axis], p[axis]};
    };
}

OpRow max_row(std::string variant, const Shape& x, const PerAxis& kernel, const MaxPoolOptions& options,
              const Shape& output) {
    std::size_t axes = x.size() - 2;
    auto function = axes == 1 ? max_pool1d : axes == 2 ? max_pool2d : max_pool3d;
    return {"max_pool" + std::to_string(axes) + "d", std::move(variant),
            [=](const Vars& v) { return function(v[0], kernel, options); }, {{x, distinct()}},
            pooled(output, sliding(kernel, options.stride, options.padding, options.dilation, axes), false, largest)};
}

OpRow avg_row(std::string variant, const Shape& x, const PerAxis& kernel, const AvgPoolOptions& options,
              const Shape& output) {
    std::size_t axes = x.size() - 2;
    auto function = axes == 1 ? avg_pool1d : axes == 2 ? avg_pool2d : avg_pool3d;
    return {"avg_pool" + std::to_string(axes) + "d", std::move(variant),
            [=](const Vars& v) { return function(v[0], kernel, options); }, {{x}},
            pooled(output, sliding(kernel, options.stride, options.padding, 1, axes), options.count_include_pad,
                   options.divisor_override ? third : mean)};
}

OpRow adaptive_row(std::string variant, const Shape& x, const PerAxis& size, const Shape& output) {
    std::size_t axes = x.size() - 2;
    auto function = axes == 1 ? adaptive_avg_pool1d : axes == 2 ? adaptive_avg_pool2d : adaptive_avg_pool3d;
    SpanOf shares = [=](std::size_t axis, std::int64_t i) {
        double extent = static_cast<double>(x[2 + axis]), of = static_cast<double>(output[2 + axis]);
        double first = std::floor(static_cast<double>(i) * extent / of);
        double last = std::ceil(static_cast<double>(i + 1) * extent / of);
        return Span{static_cast<std::int64_t>(first), static_cast<std::int64_t>(last), 1, 0};
    };
    return {"adaptive_avg_pool" + std::to_string(axes) + "d", std::move(variant),
            [=](const Vars& v) { return function(v[0], size); }, {{x}}, pooled(output, shares, false, mean)};
}

} // namespace

std::vector<OpRow> pooling_rows() {
    return {
        max_row("a length", {2, 2, 6}, 2, {}, {2, 2, 3}),
        max_row("two by two", {2, 2, 4, 6}, 2, {}, {2, 2, 2, 3}),
        max_row("two by two, a rest left out", {1, 2, 5, 3}, 2, {}, {1, 2, 2, 1}),
        max_row("windows that overlap", {1, 2, 4, 5}, {2, 3}, {.stride = 1}, {1, 2, 3, 3}),
        max_row("padded", {1, 1, 4, 5}, 3, {.stride = 2, .padding = 1}, {1, 1, 2, 3}),
        max_row("dilated", {1, 2, 5, 6}, 2, {.stride = 1, .dilation = {3, 2}}, {1, 2, 2, 4}),
        max_row("a rest taken in", {1, 1, 5, 4}, 2, {.stride = {2, 3}, .ceil_mode = true}, {1, 1, 3, 2}),
        max_row("a rest taken in, padded", {1, 1, 6, 3}, {3, 2}, {.stride = 2, .padding = 1, .ceil_mode = true},
                {1, 1, 4, 2}),
        max_row("no batch", {0, 2, 4, 4}, 2, {}, {0, 2, 2, 2}),
        max_row("a volume", {1, 2, 3, 4, 2}, {2, 2, 1}, {.stride = {1, 2, 1}}, {1, 2, 2, 2, 2}),
        avg_row("a length", {2, 1, 5}, 3, {.stride = 1}, {2, 1, 3}),
        avg_row("two by two", {2, 2, 4, 6}, 2, {}, {2, 2, 2, 3}),
        avg_row("padded", {1, 2, 4, 5}, 3, {.stride = 2, .padding = 1}, {1, 2, 2, 3}),
        avg_row("padded, the padding not counted", {1, 2, 4, 5}, 3,
                {.stride = 2, .padding = 1, .count_include_pad = false}, {1, 2, 2, 3}),
        avg_row("a rest taken in", {1, 1, 5, 4}, 2, {.stride = {2, 3}, .ceil_mode = true}, {1, 1, 3, 2}),
        avg_row("a rest taken in, padded", {1, 1, 6, 5}, {3, 2}, {.stride = 2, .padding = 1, .ceil_mode = true},
                {1, 1, 4, 3}),
        avg_row("a rest taken in, the padding not counted", {1, 1, 6, 5}, {3, 2},
                {.stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false}, {1, 1, 4, 3}),
        avg_row("another divisor", {1, 1, 3, 4}, 2, {.stride = 1, .padding = 1, .divisor_override = 3}, {1, 1, 4, 5}),
        avg_row("a volume", {1, 2, 2, 3, 2}, {1, 2, 2}, {.stride = 1, .padding = {0, 1, 0}}, {1, 2, 2, 4, 1}),
        adaptive_row("a length", {2, 2, 7}, 3, {2, 2, 3}),
        adaptive_row("to one pixel", {2, 3, 3, 2}, 1, {2, 3, 1, 1}),
        adaptive_row("windows of unequal size", {1, 2, 5, 7}, {2, 3}, {1, 2, 2, 3}),
        adaptive_row("to more than there is", {1, 1, 2, 3}, {3, 4}, {1, 1, 3, 4}),
        adaptive_row("a volume", {1, 1, 3, 2, 4}, {2, 1, 3}, {1, 1, 2, 1, 3}),
    };
}

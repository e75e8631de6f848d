#include <cotape/ops/convolution_kernel.hpp>

#include <algorithm>
#include <memory>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/ops/gemm.hpp>

namespace cotape {
namespace {

template <class T>
class Scratch {
  public:
    explicit Scratch(std::int64_t elements)
        : buffer_(allocate_buffer(static_cast<std::size_t>(elements) * sizeof(T))) {}
    T* data() { return reinterpret_cast<T*>(buffer_.get()); }

  private:
    std::shared_ptr<std::byte> buffer_;
};

/// Some images of a batch and one group of their channels, with the windows of all images side by side in a matrix: a
/// row for each channel and tap, a column for each output pixel.
template <class T>
class Columns {
  public:
    Columns(const Convolution& shape, std::int64_t first_image, std::int64_t images, std::int64_t group)
        : shape_(shape), first_image_(first_image), images_(images), group_(group) {}

    std::int64_t width() const { return images_ * shape_.output_plane(); }

    void gather(const T* x, T* columns) const {
        for_each_tap_of_each_plane([&](std::int64_t plane, std::int64_t column, std::int64_t tap) {
            T* row = columns + column + tap * width();
            std::fill_n(row, shape_.output_plane(), T(0));
            walk(tap, [&](std::int64_t from, std::int64_t to, std::int64_t count, std::int64_t stride) {
                const T* source = x + plane + from;
                for (std::int64_t i = 0; i < count; ++i) row[to + i] = source[i * stride];
            });
        });
    }

    /// Adds every column element to the input pixel that it would be gathered from.
    void scatter_add(const T* columns, T* x) const {
        for_each_tap_of_each_plane([&](std::int64_t plane, std::int64_t column, std::int64_t tap) {
            const T* row = columns + column + tap * width();
            walk(tap, [&](std::int64_t to, std::int64_t from, std::int64_t count, std::int64_t stride) {
                T* target = x + plane + to;
                for (std::int64_t i = 0; i < count; ++i) target[i * stride] += row[from + i];
            });
        });
    }

    /// The output channels of the group, from [images, channels, pixels] to [channels, images, pixels] or back.
    void gather_outputs(const T* y, T* rows) const {
        for_each_output([&](std::int64_t of_y, std::int64_t of_rows) {
            std::copy_n(y + of_y, shape_.output_plane(), rows + of_rows);
        });
    }
    void scatter_outputs(const T* rows, T* y) const {
        for_each_output([&](std::int64_t of_y, std::int64_t of_rows) {
            std::copy_n(rows + of_rows, shape_.output_plane(), y + of_y);
        });
    }

  private:
    /// Taps of one input plane follow one another, so that planes can be scattered to on several threads.
    template <class Function>
    void for_each_tap_of_each_plane(Function&& function) const {
        std::int64_t channels = shape_.inputs / shape_.groups, taps = shape_.taps();
#pragma omp parallel for if (channels * taps * width() >= elements_worth_threads)
        for (std::int64_t i = 0; i < images_ * channels; ++i) {
            std::int64_t image = i / channels, channel = i % channels;
            std::int64_t plane = (first_image_ + image) * shape_.inputs + group_ * channels + channel;
            std::int64_t column = channel * taps * width() + image * shape_.output_plane();
            for (std::int64_t tap = 0; tap < taps; ++tap) function(plane * shape_.input_plane(), column, tap);
        }
    }

    /// Calls `run` with the input and output positions, count and input stride of each output row that the tap reaches.
    template <class Run>
    void walk(std::int64_t tap, Run&& run) const {
        const auto& [d, h, w] = shape_.axes;
        std::int64_t tap_w = tap % w.kernel, tap_h = tap / w.kernel % h.kernel, tap_d = tap / w.kernel / h.kernel;
        SlidingAxis::Range in_d = d.outputs_of(tap_d), in_h = h.outputs_of(tap_h), in_w = w.outputs_of(tap_w);
        if (in_w.first == in_w.last) return;
        for (std::int64_t i = in_d.first; i < in_d.last; ++i)
            for (std::int64_t j = in_h.first; j < in_h.last; ++j) {
                std::int64_t of_input = (d.position(i, tap_d) * h.input + h.position(j, tap_h)) * w.input;
                std::int64_t of_output = (i * h.output + j) * w.output;
                run(of_input + w.position(in_w.first, tap_w), of_output + in_w.first, in_w.last - in_w.first, w.stride);
            }
    }

    template <class Function>
    void for_each_output(Function&& function) const {
        std::int64_t channels = shape_.outputs / shape_.groups, plane = shape_.output_plane();
#pragma omp parallel for if (channels * width() >= elements_worth_threads)
        for (std::int64_t i = 0; i < images_ * channels; ++i) {
            std::int64_t image = i / channels, channel = i % channels;
            function(((first_image_ + image) * shape_.outputs + group_ * channels + channel) * plane,
                     (channel * images_ + image) * plane);
        }
    }

    const Convolution& shape_;
    std::int64_t first_image_, images_, group_;
};

std::int64_t size_of_part(const Convolution& shape, ConvolutionPart part) {
    switch (part) {
    case ConvolutionPart::output: return shape.batch * shape.outputs * shape.output_plane();
    case ConvolutionPart::data: return shape.batch * shape.inputs * shape.input_plane();
    case ConvolutionPart::weight: break;
    }
    return shape.outputs * (shape.inputs / shape.groups) * shape.taps();
}

} // namespace

template <class T>
void convolve_by_columns(const Convolution& shape, ConvolutionPart part, const T* a, const T* b, T* result) {
    std::int64_t rows = shape.inputs / shape.groups * shape.taps(), outputs = shape.outputs / shape.groups;
    std::int64_t image_size = rows * shape.output_plane();
    std::fill_n(result, size_of_part(shape, part), T(0));
    if (image_size == 0 || outputs == 0 || shape.batch == 0) return;

    constexpr std::int64_t columns_at_once = std::int64_t(1) << 20;
    std::int64_t chunk = std::clamp<std::int64_t>(columns_at_once / image_size, 1, shape.batch);
    Scratch<T> columns(chunk * image_size), of_outputs(chunk * outputs * shape.output_plane()), product(outputs * rows);
    for (std::int64_t first = 0; first < shape.batch; first += chunk)
        for (std::int64_t group = 0; group < shape.groups; ++group) {
            Columns<T> layout(shape, first, std::min(chunk, shape.batch - first), group);
            std::int64_t width = layout.width(), weight = group * outputs * rows;
            switch (part) {
            case ConvolutionPart::output:
                layout.gather(a, columns.data());
                run(Gemm<T>{false, false, outputs, width, rows, b + weight, columns.data(), of_outputs.data()});
                layout.scatter_outputs(of_outputs.data(), result);
                break;
            case ConvolutionPart::data:
                layout.gather_outputs(a, of_outputs.data());
                run(Gemm<T>{true, false, rows, width, outputs, b + weight, of_outputs.data(), columns.data()});
                layout.scatter_add(columns.data(), result);
                break;
            case ConvolutionPart::weight:
                layout.gather(a, columns.data());
                layout.gather_outputs(b, of_outputs.data());
                run(Gemm<T>{false, true, outputs, rows, width, of_outputs.data(), columns.data(), product.data()});
                for (std::int64_t i = 0; i < outputs * rows; ++i) result[weight + i] += product.data()[i];
                break;
            }
        }
}

template void convolve_by_columns(const Convolution&, ConvolutionPart, const float*, const float*, float*);
template void convolve_by_columns(const Convolution&, ConvolutionPart, const double*, const double*, double*);

} // namespace cotape

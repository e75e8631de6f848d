#include <cotape/ops/convolution.hpp>

#include "op_table.hpp"
#include "plain_convolution.hpp"

using namespace cotape;

namespace {

using Convolve = Var (*)(Operand, Operand, const ConvolutionOptions&);
using ConvolveTransposed = Var (*)(Operand, Operand, const ConvolutionTransposeOptions&);

Array array_of(const Shape& shape, std::vector<double> values) {
    Array array(shape, [](const Shape&) { return 0; });
    array.values = std::move(values);
    return array;
}

PlainConvolution plain(const Shape& x, const Shape& weight, const ConvolutionOptions& options) {
    std::size_t axes = x.size() - 2;
    return {x, weight, options.stride.over(axes, "", ""), options.padding.over(axes, "", ""),
            options.dilation.over(axes, "", ""), options.groups};
}

/// The convolution and its two adjoints, each as an op of its own.
void add_rows(std::vector<OpRow>& rows, std::string variant, const Shape& x, const Shape& weight,
              const ConvolutionOptions& options = {}) {
    PlainConvolution shape = plain(x, weight, options);
    Convolve convolve = shape.axes() == 1 ? conv1d : shape.axes() == 2 ? conv2d : conv3d;
    std::string name = "conv" + std::to_string(shape.axes()) + "d";
    Shape of_x(x.begin() + 2, x.end()), of_weight(weight.begin() + 2, weight.end());
    rows.push_back({name, variant, [=](const Vars& v) { return convolve(v[0], v[1], options); }, {{x}, {weight}},
                    [=](const Arrays& a) { return array_of(shape.y(), shape.output(a[0].values, a[1].values)); }});
    rows.push_back({"conv_data", name + ", " + variant,
                    [=](const Vars& v) { return conv_data(v[0], v[1], of_x, options); }, {{shape.y()}, {weight}},
                    [=](const Arrays& a) { return array_of(x, shape.data(a[0].values, a[1].values)); }});
    rows.push_back({"conv_weight", name + ", " + variant,
                    [=](const Vars& v) { return conv_weight(v[0], v[1], of_weight, options); }, {{x}, {shape.y()}},
                    [=](const Arrays& a) { return array_of(weight, shape.weights(a[0].values, a[1].values)); }});
}

/// `output` is the shape that is expected. Windows of it that no element of x stands for hold zeros.
OpRow transposed_row(std::string variant, const Shape& x, const Shape& weight,
                     const ConvolutionTransposeOptions& options, const Shape& output) {
    PlainConvolution shape =
        plain(output, weight, {options.stride, options.padding, options.dilation, options.groups});
    Shape of_windows = shape.y();
    ConvolveTransposed convolve =
        shape.axes() == 1 ? conv_transpose1d : shape.axes() == 2 ? conv_transpose2d : conv_transpose3d;
    auto reference = [=](const Arrays& a) {
        Array padded(of_windows, [&](const Shape& index) {
            for (std::size_t i = 0; i < index.size(); ++i)
                if (index[i] >= x[i]) return 0.0;
            return a[0][index];
        });
        return array_of(output, shape.data(padded.values, a[1].values));
    };
    return {"conv_transpose" + std::to_string(shape.axes()) + "d", std::move(variant),
            [=](const Vars& v) { return convolve(v[0], v[1], options); }, {{x}, {weight}}, reference};
}

} // namespace

std::vector<OpRow> convolution_rows() {
    std::vector<OpRow> rows;
    add_rows(rows, "a length", {2, 2, 5}, {3, 2, 2});
    add_rows(rows, "a length, all options", {1, 2, 7}, {2, 1, 2},
             {.stride = 2, .padding = 1, .dilation = 3, .groups = 2});
    add_rows(rows, "two channels to three", {2, 2, 3, 4}, {3, 2, 2, 3});
    add_rows(rows, "1 x 1", {2, 3, 2, 2}, {2, 3, 1, 1});
    add_rows(rows, "the kernel as large as the input", {2, 1, 3, 2}, {2, 1, 3, 2});
    add_rows(rows, "padded", {1, 1, 3, 2}, {2, 1, 3, 2}, {.padding = {1, 0}});
    add_rows(rows, "strides that leave a rest", {1, 2, 6, 5}, {1, 2, 2, 3}, {.stride = {3, 2}});
    add_rows(rows, "dilated", {1, 1, 5, 4}, {2, 1, 2, 2}, {.dilation = {3, 2}});
    add_rows(rows, "two groups", {1, 4, 3, 3}, {2, 2, 2, 2}, {.groups = 2});
    add_rows(rows, "depthwise", {1, 3, 3, 3}, {6, 1, 2, 2}, {.padding = 1, .groups = 3});
    add_rows(rows, "no batch", {0, 2, 3, 3}, {2, 2, 2, 2});
    add_rows(rows, "a volume", {1, 2, 2, 3, 2}, {2, 2, 2, 2, 1});
    add_rows(rows, "a volume, all options", {1, 2, 3, 4, 3}, {2, 1, 2, 2, 2},
             {.stride = {1, 2, 1}, .padding = {0, 1, 1}, .dilation = {2, 1, 3}, .groups = 2});
    rows.push_back(transposed_row("plain", {2, 2, 2, 3}, {2, 3, 2, 1}, {}, {2, 3, 3, 3}));
    rows.push_back(transposed_row("strided and padded", {1, 2, 3, 2}, {2, 2, 3, 2}, {.stride = 2, .padding = {1, 0}},
                                  {1, 2, 5, 4}));
    rows.push_back(transposed_row("with output padding", {1, 2, 2, 3}, {2, 1, 2, 2},
                                  {.stride = {3, 2}, .output_padding = {2, 1}}, {1, 1, 7, 7}));
    rows.push_back(transposed_row("dilated, in groups", {1, 4, 2, 2}, {4, 1, 2, 2},
                                  {.output_padding = 1, .dilation = 2, .groups = 2}, {1, 2, 5, 5}));
    rows.push_back(transposed_row("a length", {2, 1, 3}, {1, 2, 2}, {.stride = 2}, {2, 2, 6}));
    rows.push_back(transposed_row("a volume", {1, 1, 2, 1, 2}, {1, 2, 2, 2, 1}, {.stride = {1, 1, 2}},
                                  {1, 2, 3, 2, 3}));
    return rows;
}

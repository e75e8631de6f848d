#include <cotape/ops/convolution.hpp>

#include <random>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/convolution_kernel.hpp>

#include "caller.hpp"
#include "plain_convolution.hpp"

using namespace cotape;

namespace {

/// A convolution with sizes and options at random, among them 1 x 1 kernels and kernels as large as the input.
PlainConvolution draw(std::mt19937& random) {
    auto between = [&](int low, int high) {
        return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
    };
    std::size_t axes = random() % 6 == 0 ? 1 : random() % 5 == 0 ? 3 : 2;
    PlainConvolution shape;
    shape.groups = between(1, 3);
    int inputs = between(1, 4), outputs = between(1, 4), kind = between(0, 5);
    shape.x = {between(1, 3), shape.groups * inputs};
    shape.weight = {shape.groups * outputs, inputs};
    for (std::size_t i = 0; i < axes; ++i) {
        int kernel = kind == 0 ? 1 : between(1, 4), dilation = between(1, 3), padding = between(0, 2);
        int span = dilation * (kernel - 1) + 1;
        shape.stride.push_back(between(1, 3));
        shape.padding.push_back(padding);
        shape.dilation.push_back(dilation);
        shape.weight.push_back(kernel);
        shape.x.push_back(std::max(1, kind == 1 ? span - 2 * padding : span + between(0, 6)));
    }
    return shape;
}

template <class T>
Tensor random_tensor(const Shape& shape, std::mt19937& random) {
    return Tensor::make<T>(shape, [&](std::span<T> elements) {
        for (T& element : elements) element = static_cast<T>(static_cast<int>(random() % 2001) - 1000) / T(1000);
    });
}

void check_close(const Tensor& value, const std::vector<double>& expected, double tolerance) {
    REQUIRE(value.size() == static_cast<std::int64_t>(expected.size()));
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i)
        worst = std::max(worst, std::abs(value.at(static_cast<std::int64_t>(i)) - expected[i]));
    CHECK(worst <= tolerance);
}

/// The three convolutions of one random shape against the definition.
template <class T>
void check_against_definition(const PlainConvolution& shape, std::mt19937& random, double tolerance) {
    Tensor x = random_tensor<T>(shape.x, random), weight = random_tensor<T>(shape.weight, random);
    Tensor g = random_tensor<T>(shape.y(), random);
    ConvolutionOptions options{shape.stride, shape.padding, shape.dilation, shape.groups};
    Shape of_x(shape.x.begin() + 2, shape.x.end()), of_weight(shape.weight.begin() + 2, shape.weight.end());
    Arrays arrays{Array(x), Array(weight), Array(g)};
    Tape tape;
    Var vx = tape.constant(x), vw = tape.constant(weight), vg = tape.constant(g);
    auto convolve = shape.axes() == 1 ? conv1d : shape.axes() == 2 ? conv2d : conv3d;
    check_close(convolve(vx, vw, options).value(), shape.output(arrays[0].values, arrays[1].values), tolerance);
    check_close(conv_data(vg, vw, of_x, options).value(), shape.data(arrays[2].values, arrays[1].values), tolerance);
    check_close(conv_weight(vx, vg, of_weight, options).value(), shape.weights(arrays[0].values, arrays[2].values),
                tolerance);
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("convolutions of random shapes and options agree with the definition, in float64 and float32") {
        std::mt19937 random(7);
        for (int i = 0; i < 150; ++i) {
            PlainConvolution shape = draw(random);
            CAPTURE(to_string(shape.x));
            CAPTURE(to_string(shape.weight));
            CAPTURE(to_string(shape.stride));
            CAPTURE(to_string(shape.padding));
            CAPTURE(to_string(shape.dilation));
            CAPTURE(shape.groups);
            check_against_definition<double>(shape, random, 1e-12);
            // Sums of up to a few hundred products of numbers below 1.
            check_against_definition<float>(shape, random, 2e-5);
        }
    }

    TEST_CASE("a float32 convolution laid out as columns agrees with float64's, over several chunks of the batch") {
        PlainConvolution plain{{40, 8, 24, 24}, {16, 4, 3, 3}, {1, 1}, {1, 1}, {1, 1}, 2};
        std::mt19937 random(5);
        Tensor x = random_tensor<float>(plain.x, random), weight = random_tensor<float>(plain.weight, random);
        Tensor g = random_tensor<float>(plain.y(), random);
        Convolution shape{40, 8, 16, 2, {SlidingAxis(), {"", 24, 3, 1, 1, 1}, {"", 24, 3, 1, 1, 1}}};
        auto by_columns = [&](ConvolutionPart part, const Tensor& a, const Tensor& b, const Shape& result) {
            return Tensor::make<float>(result, [&](std::span<float> elements) {
                convolve_by_columns(shape, part, a.elements<float>().data(), b.elements<float>().data(),
                                    elements.data());
            });
        };
        Tape tape;
        Var vx = tape.constant(x.as(Dtype::float64)), vw = tape.constant(weight.as(Dtype::float64));
        Var vg = tape.constant(g.as(Dtype::float64));
        ConvolutionOptions options{.padding = 1, .groups = 2};
        auto close = [](const Tensor& value, const Tensor& exact, double tolerance) {
            check_close(value, Array(exact).values, tolerance);
        };
        Tensor output = conv2d(vx, vw, options).value(), data = conv_data(vg, vw, {24, 24}, options).value();
        close(by_columns(ConvolutionPart::output, x, weight, plain.y()), output, 1e-5);
        close(by_columns(ConvolutionPart::data, g, weight, plain.x), data, 1e-5);
        // 23,040 terms each.
        Tensor weights = conv_weight(vx, vg, {3, 3}, options).value();
        close(by_columns(ConvolutionPart::weight, x, g, plain.weight), weights, 2e-3);
    }

    TEST_CASE_FIXTURE(Caller, "convolutions refuse shapes that do not fit, and say how") {
        Var x = of({2, 4, 5, 5}), weight = of({6, 4, 3, 3}), length = of({2, 4, 5});
        Var narrow = of({6, 3, 3, 3}), g = of({2, 6, 3, 3});
        throws<ShapeError>("conv2d: needs an input and a weight of rank 4, got [2, 4, 5] and [6, 4, 3, 3]",
                           [&] { conv2d(length, weight); });
        throws<ShapeError>("conv1d: needs an input and a weight of rank 3, got [2, 4, 5, 5] and [6, 4, 3, 3]",
                           [&] { conv1d(x, weight); });
        throws<ShapeError>("conv2d: weight [6, 3, 3, 3] in 1 groups takes 3 channels, got input [2, 4, 5, 5]",
                           [&] { conv2d(x, narrow); });
        throws<ShapeError>("conv2d: weight [6, 4, 3, 3] in 2 groups takes 8 channels, got input [2, 4, 5, 5]",
                           [&] { conv2d(x, weight, {.groups = 2}); });
        throws<ShapeError>("conv2d: 6 channels do not fall into 4 groups", [&] { conv2d(x, weight, {.groups = 4}); });
        throws<ShapeError>("conv2d: a window of 7 does not fit into 5 padded by 0",
                           [&] { conv2d(x, weight, {.dilation = {1, 3}}); });
        throws<ShapeError>("conv2d: stride needs one number or 2, got [1, 2, 3]",
                           [&] { conv2d(x, weight, {.stride = {1, 2, 3}}); });
        throws<ShapeError>(
            "conv2d_data: an output of [2, 4, 6, 5] with weight [6, 4, 3, 3] is [2, 6, 4, 3], got [2, 6, 3, 3]",
            [&] { conv_data(g, weight, {6, 5}); });
        throws<ShapeError>(
            "conv2d_weight: an output of [2, 4, 5, 5] with weight [6, 4, 2, 3] is [2, 6, 4, 3], got [2, 6, 3, 3]",
            [&] { conv_weight(x, g, {2, 3}); });
        throws<ShapeError>("conv_data: extents must be 1 to 3 numbers, got []", [&] { conv_data(x, weight, {}); });
    }

    TEST_CASE_FIXTURE(Caller, "convolutions refuse options out of range and element types that differ") {
        Var x = of({2, 4, 5, 5}), weight = of({6, 4, 3, 3}), empty = of({6, 4, 0, 3});
        Var single = of({6, 4, 3, 3}, Dtype::float32);
        throws<ValueError>("conv2d: stride must be from 1 to 2147483648, got 0",
                           [&] { conv2d(x, weight, {.stride = {1, 0}}); });
        throws<ValueError>("conv2d: padding must be from 0 to 2147483648, got -1",
                           [&] { conv2d(x, weight, {.padding = -1}); });
        throws<ValueError>("conv2d: dilation must be from 1 to 2147483648, got 0",
                           [&] { conv2d(x, weight, {.dilation = 0}); });
        throws<ValueError>("conv2d: kernel_size must be from 1 to 2147483648, got 0",
                           [&] { conv2d(x, empty); });
        throws<ValueError>("conv2d: groups must be at least 1, got 0", [&] { conv2d(x, weight, {.groups = 0}); });
        throws<DtypeError>("conv2d: cannot convolve float64 with float32",
                           [&] { conv2d(x, single); });
    }

    TEST_CASE_FIXTURE(Caller, "transposed convolutions refuse what no convolution is the adjoint of") {
        Var x = of({2, 4, 5, 5}), weight = of({4, 3, 3, 3}), other = of({3, 4, 3, 3}), pixel = of({2, 4, 1, 1});
        throws<ShapeError>("conv_transpose2d: weight [3, 4, 3, 3] takes 3 channels, got input [2, 4, 5, 5]",
                           [&] { conv_transpose2d(x, other); });
        throws<ShapeError>("conv_transpose1d: needs an input and a weight of rank 3, got [2, 4, 5, 5] and [4, 3, 3, 3]",
                           [&] { conv_transpose1d(x, weight); });
        throws<ValueError>(
            "conv_transpose2d: output_padding must be at least 0 and less than the stride 2 or the dilation 1, got 2",
            [&] { conv_transpose2d(x, weight, {.stride = 2, .output_padding = 2}); });
        throws<ShapeError>(
            "conv_transpose2d: an input of [2, 4, 1, 1] with weight [4, 3, 3, 3] and padding [2, 2] has no output",
            [&] { conv_transpose2d(pixel, weight, {.padding = 2}); });
        throws<ShapeError>("conv_transpose2d: 4 channels do not fall into 3 groups",
                           [&] { conv_transpose2d(x, weight, {.groups = 3}); });
    }
}

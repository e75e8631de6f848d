#include <cotape/nn/convolution.hpp>

#include <set>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/flatten.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/pooling.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/losses.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

Tensor forward(nn::Module&& layer, const Shape& shape) {
    Tape tape;
    return layer(tape.constant(scattered(shape))).value();
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("convolutional layers start uniform within 1 / sqrt(fan in), as PyTorch's do") {
        std::mt19937 random(1);
        nn::Conv2d conv(6, 40, {3, 5}, {.groups = 2}, random);
        nn::ConvTranspose2d transposed(6, 40, {3, 5}, {.groups = 2}, random);
        auto check = [](const nn::Convolutional& layer, const Shape& shape, double bound) {
            REQUIRE(layer.bias());
            CHECK(to_string(layer.weight().type().shape) == to_string(shape));
            CHECK(to_string(layer.bias()->type().shape) == "[40]");
            for (const Tensor& start : {layer.weight().value(), layer.bias()->value()}) {
                double largest = 0;
                for (double element : elements_of(start)) largest = std::max(largest, std::abs(element));
                CHECK(largest <= bound);
                CHECK(largest > 0.9 * bound);
            }
        };
        check(conv, {40, 3, 3, 5}, 1 / std::sqrt(3 * 15));
        check(transposed, {6, 20, 3, 5}, 1 / std::sqrt(20 * 15));
        nn::Conv1d bare(2, 3, 4, {.bias = false}, random);
        CHECK_FALSE(bare.bias());
        CHECK(bare.parameters().size() == 1);
    }

    TEST_CASE("a convolutional layer knows the output channel of each element of its weight") {
        std::mt19937 random(1);
        nn::Conv2d conv(4, 6, {1, 2}, {.groups = 2}, random);
        nn::ConvTranspose2d transposed(4, 6, {1, 2}, {.groups = 2}, random);
        for (nn::WeightedSum* layer : std::initializer_list<nn::WeightedSum*>{&conv, &transposed}) {
            Tape tape;
            Var x = tape.constant(Tensor::full({1, 4, 3, 3}, 1));
            Tensor before = (*layer)(x).value(), weight = layer->weight().value();
            std::int64_t plane = before.size() / 6;
            for (std::int64_t i = 0; i < weight.size(); ++i) {
                CAPTURE(i);
                std::vector<double> changed = elements_of(weight);
                changed[static_cast<std::size_t>(i)] += 1;
                layer->set(Tensor::of<double>(weight.shape(), changed).as(Dtype::float32), layer->bias()->value());
                Tape other;
                Tensor after = (*layer)(other.constant(Tensor::full({1, 4, 3, 3}, 1))).value();
                std::set<std::int64_t> moved;
                for (std::int64_t j = 0; j < after.size(); ++j)
                    if (std::abs(after.at(j) - before.at(j)) > 0.5) moved.insert(j / plane);
                CHECK(moved == std::set{layer->channel_of(i)});
            }
        }
    }

    TEST_CASE("convolutional layers describe themselves with what is not as usual") {
        std::mt19937 random(1);
        CHECK(nn::Conv2d(1, 32, 3, random).describe() == "Conv2d(1 -> 32, kernel [3, 3])");
        nn::ConvOptions all{.stride = {2, 1}, .padding = 1, .dilation = 2, .groups = 2, .bias = false};
        CHECK(nn::Conv2d(4, 6, {3, 1}, all, random).describe() ==
              "Conv2d(4 -> 6, kernel [3, 1], stride [2, 1], padding 1, dilation 2, groups 2, no bias)");
        CHECK(nn::ConvTranspose3d(2, 4, 2, {.stride = 2, .output_padding = 1, .groups = 2}, random).describe() ==
              "ConvTranspose3d(2 -> 4, kernel [2, 2, 2], output padding 1, stride 2, groups 2)");
        CHECK(nn::MaxPool2d(2).describe() == "MaxPool2d(kernel 2)");
        CHECK(nn::MaxPool2d({3, 2}, {.stride = 2, .padding = 1, .dilation = 2, .ceil_mode = true}).describe() ==
              "MaxPool2d(kernel [3, 2], stride 2, padding 1, rounded up, dilation 2)");
        CHECK(nn::AvgPool1d(2, {.count_include_pad = false, .divisor_override = 3}).describe() ==
              "AvgPool1d(kernel 2, padding not counted, divided by 3)");
        CHECK(nn::AdaptiveAvgPool2d({1, 2}).describe() == "AdaptiveAvgPool2d([1, 2])");
        CHECK(nn::Flatten().describe() == "Flatten(axes 1 to -1)");
        CHECK(nn::Unflatten(1, {1, 28, 28}).describe() == "Unflatten(axis 1 to [1, 28, 28])");
    }

    TEST_CASE("convolutional layers refuse what makes no weight, and inputs that do not fit") {
        std::mt19937 random(1);
        CHECK_THROWS_WITH_AS(nn::Conv2d(0, 3, 3, {}, random),
                             "Conv2d: needs at least one channel on each side, got 3 and 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::Conv2d(4, 6, 3, {.groups = 4}, random),
                             "Conv2d: 6 and 4 channels do not fall into 4 groups", ValueError);
        CHECK_THROWS_WITH_AS(nn::ConvTranspose1d(4, 6, 3, {.groups = 0}, random),
                             "ConvTranspose1d: 4 and 6 channels do not fall into 0 groups", ValueError);
        CHECK_THROWS_WITH_AS(nn::Conv3d(4, 6, {3, 0, 1}, {}, random),
                             "Conv3d: kernel_size must be from 1 to 2147483648, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::Conv2d(4, 6, {3, 2, 1}, {}, random),
                             "Conv2d: kernel_size needs one number or 2, got [3, 2, 1]", ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::Conv2d(4, 6, 3, random), {2, 3, 5, 5}),
                             "conv2d: weight [6, 4, 3, 3] in 1 groups takes 4 channels, got input [2, 3, 5, 5]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::Conv2d(4, 6, 3, random), {4, 5, 5}),
                             "conv2d: needs an input and a weight of rank 4, got [4, 5, 5] and [6, 4, 3, 3]",
                             ShapeError);
    }

    TEST_CASE("convolutional and pooling layers refuse options out of range when they are made") {
        std::mt19937 random(1);
        CHECK_THROWS_WITH_AS(nn::Conv2d(4, 6, 3, {.stride = {1, 0}}, random),
                             "Conv2d: stride must be from 1 to 2147483648, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::Conv1d(4, 6, 3, {.padding = -1}, random),
                             "Conv1d: padding must be from 0 to 2147483648, got -1", ValueError);
        CHECK_THROWS_WITH_AS(nn::Conv3d(4, 6, 3, {.dilation = 0}, random),
                             "Conv3d: dilation must be from 1 to 2147483648, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::Conv2d(4, 6, 3, {.stride = {1, 2, 3}}, random),
                             "Conv2d: stride needs one number or 2, got [1, 2, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(nn::ConvTranspose2d(4, 6, 3, {.stride = 0}, random),
                             "ConvTranspose2d: stride must be from 1 to 2147483648, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::ConvTranspose2d(4, 6, 3, {.stride = 2, .output_padding = {0, 2}}, random),
                             "ConvTranspose2d: output_padding must be at least 0 and less than the stride 2 or the "
                             "dilation 1, got 2",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::MaxPool2d(0), "MaxPool2d: kernel_size must be from 1 to 2147483648, got 0",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::MaxPool1d(2, {.dilation = 0}),
                             "MaxPool1d: dilation must be from 1 to 2147483648, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::AvgPool3d(2, {.stride = 0}), "AvgPool3d: stride must be from 1 to 2147483648, got 0",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::AvgPool2d(3, {.padding = 2}),
                             "AvgPool2d: padding must be at most half the window, got 2 for a window of 3", ValueError);
        CHECK_THROWS_WITH_AS(nn::AvgPool2d(3, {.padding = -1}),
                             "AvgPool2d: padding must be from 0 to 2147483648, got -1", ValueError);
        CHECK_THROWS_WITH_AS(nn::AdaptiveAvgPool2d({1, 0}), "AdaptiveAvgPool2d: output_size must be at least 1, got 0",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::AdaptiveAvgPool1d(1 << 25),
                             "AdaptiveAvgPool1d: output_size must be at most 16777216, got 33554432", ValueError);
        CHECK_THROWS_WITH_AS(nn::AdaptiveAvgPool3d({1, 2}),
                             "AdaptiveAvgPool3d: output_size needs one number or 3, got [1, 2]", ShapeError);
        CHECK_THROWS_WITH_AS(nn::AvgPool2d(2, {.divisor_override = 0}), "AvgPool2d: divisor_override must not be 0",
                             ValueError);
    }

    TEST_CASE("flattening merges all axes but the batch's, and unflattening splits one") {
        CHECK(to_string(forward(nn::Flatten(), {2, 3, 4, 5}).shape()) == "[2, 60]");
        CHECK(to_string(forward(nn::Flatten(0, 1), {2, 3, 4}).shape()) == "[6, 4]");
        CHECK(to_string(forward(nn::Unflatten(1, {3, -1, 2}), {4, 12, 5}).shape()) == "[4, 3, 2, 2, 5]");
        CHECK(to_string(forward(nn::Unflatten(-1, {1, 28, 28}), {0, 784}).shape()) == "[0, 1, 28, 28]");
        CHECK_THROWS_WITH_AS(forward(nn::Unflatten(1, {5, -1}), {4, 12}),
                             "Unflatten: cannot split axis 1 of [4, 12] into [5, -1]", ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::Unflatten(1, {-1, -1}), {4, 12}),
                             "Unflatten: cannot split axis 1 of [4, 12] into [-1, -1]", ShapeError);
        CHECK_THROWS_WITH_AS(forward(nn::Flatten(), {4}), "flatten: axis 1 is outside the 1 axes of its input",
                             ShapeError);
    }

    TEST_CASE("a convolutional net with batch norm and pooling passes the gradient check at orders 1 and 2") {
        std::mt19937 random(2);
        nn::Sequential net(nn::Unflatten(1, {1, 6, 6}), nn::Conv2d(1, 3, 3, {.padding = 1, .bias = false}, random),
                           nn::BatchNorm2d(3), nn::MaxPool2d(2), nn::Conv2d(3, 2, 2, random), nn::AvgPool2d(2),
                           nn::Flatten(), nn::Linear(2, 2, random));
        Tensor labels = Tensor::of<std::int64_t>({4}, {0, 1, 1, 0});
        GradientCheckReport report =
            nn::check_gradients(net, scattered({4, 36}), [&](Var logits) { return cross_entropy(logits, labels); },
                                {.order = 2});
        INFO(to_string(report));
        CHECK(report);
    }
}

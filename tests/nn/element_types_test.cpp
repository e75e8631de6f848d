#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/batch_norm_lstm.hpp>
#include <cotape/nn/convolution.hpp>
#include <cotape/nn/group_norm.hpp>
#include <cotape/nn/gru.hpp>
#include <cotape/nn/layer_norm.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/lstm.hpp>
#include <cotape/nn/rnn.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

void check_refused(nn::Module& layer, const std::string& name, const Shape& shape) {
    for (bool training : {true, false}) {
        layer.set_training(training);
        Tape tape;
        Var x = tape.constant(scattered<double>(shape));
        CHECK_THROWS_WITH_AS(layer(x), (name + ": needs float32 as its state is, got float64").c_str(), DtypeError);
    }
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a layer names itself where its input has another element type, in both modes") {
        std::mt19937 random(1);
        nn::Linear linear(3, 3, random);
        check_refused(linear, "Linear", {5, 3});
        nn::Conv2d convolution(3, 2, 2, random);
        check_refused(convolution, "Conv2d", {2, 3, 4, 4});
        nn::ConvTranspose1d transposed(3, 2, 2, random);
        check_refused(transposed, "ConvTranspose1d", {2, 3, 4});
        for (bool affine : {true, false}) {
            nn::BatchNorm1d norm(3, {.affine = affine});
            norm.set_running_statistics(Tensor::full({3}, 0), Tensor::full({3}, 1));
            check_refused(norm, "BatchNorm1d", {5, 3});
        }
        nn::RecurrentBatchNorm steps(3, 4);
        steps.set_running_statistics(Tensor::full({4, 3}, 0), Tensor::full({4, 3}, 1));
        check_refused(steps, "RecurrentBatchNorm", {4, 5, 3});
        nn::GroupNorm group(1, 3);
        check_refused(group, "GroupNorm", {5, 3, 2});
        nn::InstanceNorm2d instance(3, {.affine = true});
        check_refused(instance, "InstanceNorm2d", {5, 3, 2, 2});
        nn::LayerNorm layer({3});
        check_refused(layer, "LayerNorm", {5, 3});
        nn::RNN rnn(3, 2, random);
        check_refused(rnn, "RNN", {4, 5, 3});
        check_refused(rnn[0], "RNNCell", {5, 3});
        nn::LSTM lstm(3, 2, random);
        check_refused(lstm, "LSTM", {4, 5, 3});
        nn::GRU gru(3, 2, random);
        check_refused(gru, "GRU", {4, 5, 3});
        nn::BatchNormLSTM normalized(3, 2, 4, random);
        check_refused(normalized, "BatchNormLSTM", {4, 5, 3});
    }

    TEST_CASE("weights are replaced by such of the same type alone, and both or neither") {
        std::mt19937 random(1);
        nn::Linear layer(3, 2, random);
        Tensor weight = layer.weight().value(), zeros = Tensor::full({2, 3}, 0);
        CHECK_THROWS_WITH_AS(layer.set(zeros, Tensor::full({2}, 0, Dtype::float64)),
                             "set: the bias must be float32 [2], got float64 [2]", DtypeError);
        CHECK_THROWS_WITH_AS(layer.set(zeros, Tensor::full({3}, 0)),
                             "set: the bias must be float32 [2], got float32 [3]", ShapeError);
        CHECK(same_bits(layer.weight().value(), weight));
    }
}

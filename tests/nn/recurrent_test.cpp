#include <cotape/nn/gru.hpp>
#include <cotape/nn/lstm.hpp>
#include <cotape/nn/rnn.hpp>

#include <algorithm>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

std::mt19937 generator(5);

/// Steps `begin` to `end` of the sequences x.
Tensor steps_of(const Tensor& x, std::int64_t begin, std::int64_t end) {
    std::int64_t size = x.shape()[1] * x.shape()[2];
    return x.part(begin * size, {end - begin, x.shape()[1], x.shape()[2]});
}

std::size_t count_nodes(const Tape& tape, const std::string& op) {
    std::size_t count = 0;
    for (std::size_t id = 0; id < tape.size(); ++id) count += tape.node(static_cast<NodeId>(id)).op->name == op;
    return count;
}

Var cubes(Var y) { return sum(y * y * y); }

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("the inputs of all steps are one product, and so is the gradient of the recurrent weights") {
        nn::LSTM net(16, 16, generator);
        Tape tape;
        Var x = tape.constant(scattered({9, 4, 16}));
        Var loss = sum(square(net.unroll(x).outputs));
        CHECK(count_nodes(tape, "matmul") == 1 + 9);
        for (int i : {0, 1}) {
            Var slope = gradient(loss, tape.variable(net.parameters()[static_cast<std::size_t>(i)].state));
            CHECK(slope.node().op->name == "matmul");
        }
    }

    TEST_CASE("a sequence unrolled in two parts, the state handed over, is the sequence unrolled at once") {
        nn::LSTM net(3, 5, {.layers = 2}, generator);
        Tensor x = scattered({7, 2, 3});
        Tape tape;
        auto [outputs, state] = net.unroll(tape.constant(x));
        nn::UnrollResult first = net.unroll(tape.constant(steps_of(x, 0, 4)));
        nn::UnrollResult second = net.unroll(tape.constant(steps_of(x, 4, 7)), {.initial = first.state});
        Var joined = concatenate({first.outputs, second.outputs}, 0);
        CHECK(distance(outputs.value(), elements_of(joined.value())) < 1e-6);
        CHECK(distance(state.c.value(), elements_of(second.state.c.value())) < 1e-6);
    }

    TEST_CASE("a cell's step is a step of the net") {
        nn::GRU net(3, 5, generator);
        Tensor x = scattered({2, 4, 3});
        Tape tape;
        Var outputs = net(tape.constant(x));
        Var h = net[0](tape.constant(x.part(0, {4, 3})));
        h = net[0].step(tape.constant(x.part(12, {4, 3})), {.h = h}).h;
        CHECK(distance(h.value(), elements_of(slice(outputs, 0, 1, 2).value())) < 1e-6);
    }

    TEST_CASE("a padded sequence gives what it gives alone, zeros after its end, and takes nothing from the padding") {
        nn::LSTM net(3, 4, {.layers = 2}, generator);
        Tensor x = scattered({6, 3, 3});
        std::vector<std::int64_t> lengths{2, 6, 0};
        Tape tape;
        Var input = tape.variable(x);
        auto [outputs, state] = net.unroll(input, {.mask = nn::padding_mask(lengths, 6)});
        for (std::int64_t i = 0; i < 3; ++i) {
            CAPTURE(i);
            auto example = [&](Var whole, std::int64_t axis) { return slice(whole, axis, i, i + 1); };
            std::int64_t length = lengths[static_cast<std::size_t>(i)];
            Tensor seen = example(outputs, 1).value();
            for (std::int64_t element = length * 4; element < 24; ++element) CHECK(seen.at(element) == 0);
            if (length == 0) {
                CHECK(distance(example(state.h, 1).value(), std::vector<double>(8, 0)) == 0);
                continue;
            }
            auto [alone, last] = net.unroll(slice(example(input, 1), 0, 0, length));
            CHECK(distance(seen.part(0, alone.shape()), elements_of(alone.value())) < 1e-6);
            CHECK(distance(example(state.h, 1).value(), elements_of(last.h.value())) < 1e-6);
            CHECK(distance(example(state.c, 1).value(), elements_of(last.c.value())) < 1e-6);
        }
        Tensor slopes = gradient(cubes(outputs) + cubes(state.c), input).value();
        for (std::int64_t i = 0; i < slopes.size(); ++i)
            CHECK((slopes.at(i) == 0) == (i / 9 >= lengths[static_cast<std::size_t>(i / 3 % 3)]));
    }

    TEST_CASE("padding that is not a number does no harm") {
        nn::GRU net(1, 2, generator);
        Tape tape;
        Var x = tape.variable(Tensor::of<float>({2, 2, 1}, {0.5f, 1, 2, NAN}));
        auto [outputs, state] = net.unroll(x, {.mask = nn::padding_mask({2, 1}, 2)});
        CHECK(all_finite(outputs.value()));
        CHECK(all_finite(state.h.value()));
        Var weight = tape.variable(net.parameters()[0].state);
        for (Var slope : gradients(cubes(outputs), {x, weight})) CHECK(all_finite(slope.value()));
    }

    TEST_CASE("recurrent nets pass the gradient check at orders 1 and 2, from the input and an initial state") {
        nn::LSTM lstm(2, 3, generator);
        nn::GRU gru(2, 3, {.layers = 2}, generator);
        nn::RNN rnn(2, 3, generator);
        for (nn::Recurrent* net : {static_cast<nn::Recurrent*>(&lstm), static_cast<nn::Recurrent*>(&gru),
                                   static_cast<nn::Recurrent*>(&rnn)}) {
            CAPTURE(net->describe());
            GradientCheckReport report = nn::check_gradients(*net, scattered({3, 2, 2}), cubes, {.order = 2});
            CHECK_MESSAGE(report, to_string(report));
        }
        Tensor mask = nn::padding_mask({3, 1}, 3);
        auto padded = [&](const std::vector<Var>& inputs) {
            for (const auto& [path, parameter] : lstm.parameters())
                inputs[0].tape().bind(parameter, inputs[0].tape().constant(parameter.value().as(Dtype::float64)));
            auto [outputs, state] = lstm.unroll(inputs[0], {.initial = {inputs[1], inputs[2]}, .mask = mask});
            return cubes(outputs) + cubes(state.h) + cubes(state.c);
        };
        GradientCheckReport report = check_gradients(
            padded, {scattered<double>({3, 2, 2}), scattered<double>({1, 2, 3}, 1), scattered<double>({1, 2, 3}, 2)},
            {.order = 2});
        CHECK_MESSAGE(report, to_string(report));
    }

    TEST_CASE("weights and biases are uniform within 1 / sqrt(hidden) at first") {
        nn::GRU net(7, 25, generator);
        for (const auto& [path, parameter] : net.parameters()) {
            std::vector<double> elements = elements_of(parameter.value());
            double largest = 0, sum = 0;
            for (double element : elements) largest = std::max(largest, std::abs(element)), sum += element;
            CAPTURE(path);
            CHECK(largest <= 0.2);
            CHECK(largest > 0.18);
            CHECK(std::abs(sum / static_cast<double>(elements.size())) < 0.05);
        }
    }

    TEST_CASE("a recurrent net stands in a Sequential, with all outputs or the last step's") {
        nn::Sequential net(nn::LSTM(3, 4, generator), nn::GRU(4, 5, {.last_step = true}, generator),
                           nn::Linear(5, 2, generator));
        Tape tape;
        CHECK(net(tape.constant(scattered({6, 2, 3}))).shape() == Shape{2, 2});
        CHECK(net.parameters()[0].path == "0.weight_ih_l0");
        CHECK(net[0].describe() == "LSTM(3 -> 4)");
        CHECK(net[1].describe() == "GRU(4 -> 5, last step)");
        CHECK(nn::RNN(3, 4, {.layers = 2, .bias = false}, generator).describe() == "RNN(3 -> 4, 2 layers, no bias)");
    }

    TEST_CASE("the last step alone is the last of all outputs") {
        std::mt19937 random(1), again(1);
        nn::LSTM all(3, 4, random), last(3, 4, {.last_step = true}, again);
        Tape tape;
        Var x = tape.constant(scattered({6, 2, 3}));
        CHECK(distance(last(x).value(), elements_of(slice(all(x), 0, 5, 6).value())) == 0);
    }

    TEST_CASE("recurrent nets refuse what they cannot unroll over, and leave the tape as it was") {
        nn::LSTM net(3, 4, generator);
        nn::GRU gru(3, 4, generator);
        Tape tape;
        auto zeros = [&](const Shape& shape) { return tape.constant(Tensor::full(shape, 0)); };
        Var x = zeros({5, 2, 3}), wrong = zeros({5, 2, 4}), flat = zeros({5, 3}), none = zeros({0, 2, 3});
        Var state = zeros({1, 3, 4}), right = zeros({1, 2, 4});
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(net(wrong), "LSTM: needs [steps, examples, 3], got [5, 2, 4]", ShapeError);
        CHECK_THROWS_WITH_AS(net(flat), "LSTM: needs [steps, examples, 3], got [5, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(net(none), "LSTM: needs at least one step, got [0, 2, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(net.unroll(x, {.initial = {state, {}}}),
                             "LSTM: the initial state must be [1, 2, 4], got [1, 3, 4]", ShapeError);
        CHECK_THROWS_WITH_AS(gru.unroll(x, {.initial = {right, right}}), "GRU: has no cell state to begin from",
                             ValueError);
        CHECK_THROWS_WITH_AS(net.unroll(x, {.mask = Tensor::full({2, 5}, 1)}),
                             "LSTM: the mask must be [5, 2], got [2, 5]", ShapeError);
        CHECK_THROWS_WITH_AS(net.unroll(x, {.mask = Tensor::full({5, 2}, 0.5)}),
                             "LSTM: the mask must be of zeros and ones, got 0.5 at step 0 of example 0", ValueError);
        CHECK_THROWS_WITH_AS(net[0].step(x), "LSTMCell: needs [examples, 3], got [5, 2, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(net[0].step(zeros({2, 3}), {.h = zeros({3, 4})}),
                             "LSTMCell: the state must be [2, 4], got [3, 4]", ShapeError);
        CHECK(tape.size() == size + 2);
        CHECK_THROWS_WITH_AS(nn::LSTM(3, 4, {.layers = 0}, generator), "LSTM: needs at least one layer, got 0",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::RNN(0, 4, generator),
                             "RNNCell: needs at least one input and one hidden unit, got 0 and 4", ValueError);
        CHECK_THROWS_WITH_AS(nn::padding_mask({2, 6}, 5), "padding_mask: a length must be from 0 to 5, got 6",
                             ValueError);
    }

    TEST_CASE("a recurrent net refuses another kind of cell, and none, and a layer that it does not have") {
        nn::LSTM lstm(3, 4, {.layers = 2}, generator);
        nn::GRU gru(3, 4, generator);
        CHECK_THROWS_WITH_AS(lstm.replace(1, std::make_unique<nn::GRUCell>(4, 4, true, generator)),
                             "LSTM: GRUCell(4 -> 4) cannot stand in the place of LSTMCell(4 -> 4): only the latter "
                             "keeps a cell state",
                             ValueError);
        CHECK_THROWS_WITH_AS(gru.replace(0, std::make_unique<nn::LSTMCell>(3, 4, true, generator)),
                             "GRU: LSTMCell(3 -> 4) cannot stand in the place of GRUCell(3 -> 4): only the former "
                             "keeps a cell state",
                             ValueError);
        CHECK_THROWS_WITH_AS(gru.replace(0, std::make_unique<nn::RNNCell>(3, 4, generator)),
                             "GRU: RNNCell(3 -> 4) cannot stand in the place of GRUCell(3 -> 4): their gates are 1 and "
                             "3",
                             ValueError);
        CHECK_THROWS_WITH_AS(lstm.replace(2, std::make_unique<nn::LSTMCell>(4, 4, true, generator)),
                             "LSTM: replace needs one of 2 cells, got number 2", ValueError);
        CHECK_THROWS_WITH_AS(lstm.replace(1, nullptr), "LSTM: replace needs a cell, got none", ValueError);
        CHECK_THROWS_WITH_AS(lstm.replace(1, std::make_unique<nn::LSTMCell>(3, 4, true, generator)),
                             "LSTM: LSTMCell(3 -> 4) cannot stand in the place of LSTMCell(4 -> 4)", ShapeError);
        Tape tape;
        CHECK(to_string(lstm(tape.constant(Tensor::full({5, 2, 3}, 1))).shape()) == "[5, 2, 4]");
        auto other = std::make_unique<nn::LSTMCell>(4, 4, true, generator);
        nn::RecurrentCell* placed = other.get();
        lstm.replace(1, std::move(other));
        CHECK(&lstm[1] == placed);
    }

    TEST_CASE("a bidirectional net gives the outputs of both directions side by side, its last step too") {
        nn::GRU net(3, 4, {.layers = 2, .bidirectional = true}, generator);
        nn::GRU last(3, 4, {.layers = 2, .last_step = true, .bidirectional = true}, generator);
        CHECK(net.describe() == "GRU(3 -> 4, 2 layers, bidirectional)");
        std::vector<nn::Named<nn::Parameter>> from = net.parameters(), to = last.parameters();
        REQUIRE(from.size() == 16);
        CHECK(from[4].path == "weight_ih_l0_reverse");
        CHECK(to_string(from[8].state.type().shape) == "[12, 8]");
        for (std::size_t i = 0; i < from.size(); ++i) to[i].state.assign(from[i].state.value());
        Tensor x = scattered({5, 2, 3});
        Tape tape;
        Var outputs = net(tape.constant(x)), y = last(tape.constant(x));
        CHECK(to_string(outputs.shape()) == "[5, 2, 8]");
        CHECK(to_string(y.shape()) == "[2, 8]");
        CHECK(distance(y.value(), elements_of(outputs.value().part(4 * 2 * 8, {2, 8}))) == 0);
        CHECK_THROWS_WITH_AS(net.unroll(tape.constant(x), {.initial = {tape.full({2, 2, 4}, 0, Dtype::float32)}}),
                             "GRU: the initial state must be [4, 2, 4], got [2, 2, 4]", ShapeError);
    }

    TEST_CASE("the gradients of a bidirectional net over padded sequences are right to order 2") {
        nn::LSTM net(2, 2, {.layers = 2, .bidirectional = true}, generator);
        Tensor x = scattered<double>({3, 2, 2}), mask = nn::padding_mask({2, 3}, 3);
        std::vector<Tensor> inputs{x};
        std::vector<nn::Named<nn::Parameter>> parameters = net.parameters();
        for (const auto& parameter : parameters) inputs.push_back(parameter.state.value().as(Dtype::float64));
        GradientCheckReport report = check_gradients(
            [&](const std::vector<Var>& vars) {
                for (std::size_t i = 0; i < parameters.size(); ++i)
                    vars[0].tape().bind(parameters[i].state, vars[i + 1]);
                return net.unroll(vars[0], {.mask = mask}).outputs;
            },
            inputs, {.order = 2});
        INFO(to_string(report));
        CHECK(report);
    }

    TEST_CASE("dropout stands between the layers of a recurrent net, in training alone") {
        nn::LSTM net(3, 4, {.layers = 2, .dropout = 1}, generator), plain(3, 4, {.layers = 2}, generator);
        nn::LSTM single(3, 4, {.dropout = 1}, generator);
        for (std::size_t i = 0; i < net.parameters().size(); ++i)
            plain.parameters()[i].state.assign(net.parameters()[i].state.value());
        Tape tape;
        Var x = tape.variable(scattered({5, 2, 3}));
        auto moves_outputs = [&](nn::Module& module) {
            std::vector<double> slopes = elements_of(gradient(cubes(module(x)), x).value());
            return std::ranges::any_of(slopes, [](double slope) { return slope != 0; });
        };
        CHECK_FALSE(moves_outputs(net));
        CHECK(moves_outputs(single));
        net.evaluate();
        CHECK(distance(net(x).value(), elements_of(plain(x).value())) == 0);
        for (double dropout : {-0.1, 1.5, static_cast<double>(NAN)})
            CHECK_THROWS_WITH_AS(nn::GRU(3, 4, {.layers = 2, .dropout = dropout}, generator),
                                 fmt::format("GRU: dropout must be in [0, 1], got {}", dropout).c_str(), ValueError);
    }

    TEST_CASE("a recurrent net runs over a batch of one, of none, and over one step") {
        nn::LSTM net(3, 4, generator);
        Tape tape;
        for (const Shape& shape : {Shape{5, 1, 3}, Shape{5, 0, 3}, Shape{1, 2, 3}}) {
            Var y = net(tape.constant(Tensor::full(shape, 1)));
            CHECK(y.value().shape() == Shape{shape[0], shape[1], 4});
        }
    }
}

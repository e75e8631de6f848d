#include <cotape/nn/gru.hpp>
#include <cotape/nn/lstm.hpp>
#include <cotape/nn/rnn.hpp>

#include <fstream>
#include <map>
#include <memory>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;
using nlohmann::json;

namespace {

/// What PyTorch computed: see vectors/recurrent.py.
const json& cases() {
    static const json all = json::parse(std::ifstream(COTAPE_SOURCE_DIR "/tests/nn/vectors/recurrent.json"));
    return all;
}

Tensor tensor_of(const json& value) {
    std::vector<std::int64_t> shape = value["shape"];
    return Tensor::of<double>(Shape(shape.begin(), shape.end()), value["elements"].get<std::vector<double>>());
}

std::unique_ptr<nn::Recurrent> make_net(const json& one) {
    std::mt19937 random(1);
    std::int64_t inputs = one["inputs"]["x"]["shape"][2], hidden = one["results"]["h"]["shape"][2];
    nn::RecurrentOptions options{
        .layers = one["layers"], .bias = one["bias"], .bidirectional = one["bidirectional"]};
    if (one["kind"] == "LSTM") return std::make_unique<nn::LSTM>(inputs, hidden, options, random);
    if (one["kind"] == "GRU") return std::make_unique<nn::GRU>(inputs, hidden, options, random);
    auto nonlinearity = one["relu"] ? nn::Nonlinearity::relu : nn::Nonlinearity::tanh;
    return std::make_unique<nn::RNN>(inputs, hidden,
                                     nn::RNNOptions{.nonlinearity = nonlinearity,
                                                    .layers = one["layers"],
                                                    .bias = one["bias"],
                                                    .bidirectional = one["bidirectional"]},
                                     random);
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("recurrent nets have PyTorch's parameters, outputs, final states and gradients") {
        REQUIRE(cases().size() == 15);
        for (const json& one : cases()) {
            CAPTURE(one["name"].get<std::string>());
            std::unique_ptr<nn::Recurrent> net = make_net(one);
            Tape tape;
            std::map<std::string, Var> leaves;
            for (const auto& [name, value] : one["inputs"].items()) leaves[name] = tape.variable(tensor_of(value));
            std::size_t bound = 0;
            for (const auto& [path, parameter] : net->parameters()) {
                REQUIRE(leaves.contains(path));
                tape.bind(parameter, leaves[path]);
                ++bound;
            }
            CHECK(bound == net->cells() * (one["bias"] ? 4 : 2));

            nn::UnrollOptions options{.initial = {leaves["initial.h"], leaves["initial.c"]}};
            if (!one["lengths"].is_null())
                options.mask =
                    nn::padding_mask(one["lengths"].get<std::vector<std::int64_t>>(), leaves["x"].shape()[0]);
            auto [outputs, state] = net->unroll(leaves["x"], options);
            std::map<std::string, Var> results{{"outputs", outputs}, {"h", state.h}, {"c", state.c}};
            Var loss = tape.full({}, 0, Dtype::float64);
            for (const auto& [name, value] : one["results"].items()) {
                CAPTURE(name);
                CHECK(results[name].shape() == tensor_of(value).shape());
                CHECK(distance(results[name].value(), elements_of(tensor_of(value))) < 1e-13);
                loss = loss + sum(tape.constant(tensor_of(one["weights"][name])) * results[name]);
            }
            for (const auto& [name, value] : one["gradients"].items()) {
                CAPTURE(name);
                CHECK(distance(gradient(loss, leaves[name]).value(), elements_of(tensor_of(value))) < 1e-13);
            }
        }
    }
}

#include <cotape/core/checkpoint.hpp>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/dropout.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/nn/sgd.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

using Vars = std::vector<Var>;

nn::Sequential block(std::mt19937& random) {
    return nn::Sequential(nn::Linear(3, 4, {.bias = false}, random), nn::BatchNorm1d(4), nn::Tanh(),
                          nn::Linear(4, 3, random));
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a checkpointed net trains as it does without, and updates its statistics once a step") {
        std::mt19937 random(1), again(1);
        nn::Sequential plain = block(random), kept = block(again);
        nn::Sgd plain_optimizer(plain, {.learning_rate = 0.1}), kept_optimizer(kept, {.learning_rate = 0.1});
        for (int step = 0; step < 3; ++step) {
            Tape tape, other;
            Tensor x = scattered({5, 3}, step);
            Var y = plain(tape.constant(x));
            plain_optimizer.step(sum(y * y));
            Var z = checkpoint([&](const Vars& in) { return kept(in[0]); }, {other.constant(x)});
            kept_optimizer.step(sum(z * z));
        }
        auto compare = [](const auto& a, const auto& b) {
            REQUIRE(a.size() == b.size());
            for (std::size_t i = 0; i < a.size(); ++i) {
                CAPTURE(a[i].path);
                const Tensor &left = a[i].state.value(), &right = b[i].state.value();
                // Float32, over three steps; sums may be added in another order.
                for (std::int64_t k = 0; k < left.size(); ++k)
                    CHECK(left.at(k) == doctest::Approx(right.at(k)).epsilon(1e-5));
            }
        };
        compare(plain.parameters(), kept.parameters());
        compare(plain.statistics(), kept.statistics());
        CHECK(kept.statistics().back().state.value().item() == 3);
    }

    TEST_CASE("dropout in a checkpoint drops the same elements when it is computed again") {
        std::mt19937 random(3);
        nn::Dropout dropout(0.5, random);
        Tape tape;
        Var x = tape.variable(Tensor::full({1000}, 2));
        Var y = checkpoint([&](const Vars& in) { return square(dropout(in[0])); }, {x});
        Tensor value = y.value(), slope = gradient(sum(y), x).value();
        for (std::int64_t i = 0; i < value.size(); ++i) CHECK((value.at(i) == 0) == (slope.at(i) == 0));
    }
}

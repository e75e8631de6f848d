#include <cotape/nn/batch_norm.hpp>

#include <limits>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

#include "numbers.hpp"
#include "standard_error.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// What a layer of three channels, in training, gives for zeros of `shape`.
Tensor forward(const Shape& shape, const nn::BatchNormOptions& options = {}) {
    nn::BatchNorm1d layer(3, options);
    Tape tape;
    return layer(tape.constant(Tensor::full(shape, 0))).value();
}

constexpr const char* untrained = "cotape: BatchNorm1d evaluates before any training step: its running mean is 0 and "
                                  "its running variance 1\n";

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("batch norm refuses in training a batch of one value per channel") {
        CHECK_THROWS_WITH_AS(forward({1, 3}),
                             "BatchNorm1d: expected more than 1 value per channel when training, got input size [1, 3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(
            forward({1, 3, 1}),
            "BatchNorm1d: expected more than 1 value per channel when training, got input size [1, 3, 1]", ShapeError);
        CHECK(forward({1, 3, 2}).size() == 6);
        CHECK(forward({2, 3}).size() == 6);
    }

    TEST_CASE("batch norm refuses an empty batch in training") {
        CHECK_THROWS_WITH_AS(forward({0, 3}), "BatchNorm1d: needs at least one example, got [0, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(forward({2, 3, 0}), "BatchNorm1d: needs at least one example, got [2, 3, 0]", ShapeError);
    }

    TEST_CASE("batch norm refuses another rank or channel count") {
        constexpr const char* needs = "BatchNorm1d: needs rank 2 or 3 with 3 channels on axis 1, got ";
        for (const Shape& shape : {Shape{}, Shape{3}, Shape{5, 4}, Shape{3, 5}, Shape{5, 4, 3}, Shape{5, 3, 2, 2}})
            CHECK_THROWS_WITH_AS(forward(shape), (needs + to_string(shape)).c_str(), ShapeError);
    }

    TEST_CASE("what a batch norm refuses leaves the tape and the statistics as they were") {
        nn::BatchNorm1d layer(3);
        Tape tape;
        Var x = tape.constant(Tensor::full({1, 3}, 0));
        std::size_t size = tape.size();
        CHECK_THROWS_AS(layer(x), ShapeError);
        CHECK(tape.size() == size);
        for (const auto& [path, state] : layer.statistics()) CHECK_FALSE(tape.has_proposal(state));
    }

    TEST_CASE("batch norm refuses an epsilon that is not positive: a negative one at once, 0 in training") {
        CHECK_THROWS_WITH_AS(nn::BatchNorm1d(3, {.epsilon = -1e-5}),
                             "BatchNorm1d: epsilon must not be negative, got -1e-05", ValueError);
        CHECK_THROWS_WITH_AS(nn::BatchNorm1d(3, {.epsilon = NAN}), "BatchNorm1d: epsilon must not be negative, got nan",
                             ValueError);
        CHECK_THROWS_WITH_AS(forward({4, 3}, {.epsilon = 0}),
                             "BatchNorm1d: epsilon must be positive in training, got 0", ValueError);
        nn::BatchNorm1d layer(3, {.epsilon = 0});
        layer.set_running_statistics(Tensor::full({3}, 1), Tensor::full({3}, 4));
        layer.evaluate();
        Tape tape;
        CHECK(distance(layer(tape.constant(Tensor::full({1, 3}, 3))).value(), {1, 1, 1}) == 0);
    }

    TEST_CASE("batch norm refuses a momentum outside [0, 1], and no channels") {
        CHECK_THROWS_WITH_AS(nn::BatchNorm1d(3, {.momentum = 1.5}), "BatchNorm1d: momentum must be in [0, 1], got 1.5",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::BatchNorm1d(3, {.momentum = -0.1}),
                             "BatchNorm1d: momentum must be in [0, 1], got -0.1", ValueError);
        CHECK_THROWS_WITH_AS(nn::BatchNorm1d(3, {.momentum = NAN}), "BatchNorm1d: momentum must be in [0, 1], got nan",
                             ValueError);
        CHECK_THROWS_WITH_AS(nn::BatchNorm1d(0), "BatchNorm1d: needs at least one channel, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::BatchNorm1d(-2), "BatchNorm1d: needs at least one channel, got -2", ValueError);
    }

    TEST_CASE("batch norm refuses running statistics that are negative, not a number, or of another type") {
        nn::BatchNorm1d layer(3);
        Tensor zeros = Tensor::full({3}, 0);
        CHECK_THROWS_WITH_AS(layer.set_running_statistics(zeros, Tensor::of<float>({3}, {1, -0.5, 1})),
                             "BatchNorm1d: the running variance of channel 1 must not be negative, got -0.5",
                             ValueError);
        CHECK_THROWS_WITH_AS(layer.set_running_statistics(zeros, Tensor::of<float>({3}, {1, 1, NAN})),
                             "BatchNorm1d: the running variance of channel 2 must not be negative, got nan",
                             ValueError);
        CHECK_THROWS_WITH_AS(layer.set_running_statistics(Tensor::full({2}, 0), zeros),
                             "BatchNorm1d: running statistics must be float32 [3], got float32 [2] and float32 [3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(layer.set_running_statistics(zeros, zeros.as(Dtype::float64)),
                             "BatchNorm1d: running statistics must be float32 [3], got float32 [3] and float64 [3]",
                             DtypeError);
        CHECK(distance(layer.running_variance(), {1, 1, 1}) == 0);
        Tensor ones = Tensor::full({3}, 1);
        CHECK_THROWS_WITH_AS(layer.set_running_statistics(zeros, ones, Tensor(-1.0f)),
                             "BatchNorm1d: a number of batches must not be negative, got -1", ValueError);
        CHECK_THROWS_WITH_AS(layer.set_running_statistics(zeros, ones, ones),
                             "BatchNorm1d: the numbers of batches must be float32 [], got float32 [3]", ShapeError);
        CHECK_THROWS_WITH_AS(layer.set_running_statistics(zeros, ones, Tensor(1.0)),
                             "BatchNorm1d: the numbers of batches must be float32 [], got float64 []", DtypeError);
        CHECK_FALSE(layer.has_set_statistics());
        CHECK(layer.batches_seen() == 0);
    }

    TEST_CASE("a constant channel becomes exactly the shift, with a finite gradient") {
        for (float level : {0.0f, 0.1f, -7.3f, 1e6f, 1e30f}) {
            CAPTURE(level);
            for (const Shape& shape : {Shape{7, 1}, Shape{3, 1, 5}}) {
                nn::BatchNorm1d layer(1);
                layer.parameters()[1].state.assign(Tensor::full({1}, 0.75));
                Tape tape;
                Var x = tape.variable(Tensor::full(shape, level)), y = layer(x);
                CHECK(distance(y.value(), std::vector<double>(static_cast<std::size_t>(x.value().size()), 0.75)) == 0);
                CHECK(all_finite(gradient(sum(y * tape.constant(scattered(shape))), x).value()));
                commit(tape);
                CHECK(layer.running_variance().item() == 0.9f);
            }
        }
    }

    TEST_CASE("in float32 a channel spread over 1e30 gives the shift, and finite-check mode names its variance") {
        nn::BatchNorm1d layer(1);
        Tensor huge = Tensor::of<float>({2, 1}, {-1e30f, 1e30f});
        Tape tape;
        Var x = tape.variable(huge), y = layer(x);
        CHECK(distance(y.value(), {0, 0}) == 0);
        CHECK(distance(gradient(sum(y * y), x).value(), {0, 0}) == 0);
        Tape checking({.check_finite = true});
        CHECK_THROWS_AS(layer(checking.variable(huge)).value(), NonFiniteError);
        try {
            layer(checking.variable(huge)).value();
        } catch (const NonFiniteError& error) {
            CHECK(std::string(error.what())
                      .starts_with("batch_variance: the first value that is not finite: inf at "
                                   "element 0 of float32 [1, 1]"));
        }
    }

    TEST_CASE("a channel spread over 1e15 is normalised") {
        nn::BatchNorm1d layer(1);
        Tape tape;
        Var y = layer(tape.constant(Tensor::of<float>({2, 1}, {-1e15f, 1e15f})));
        CHECK(distance(y.value(), {-1, 1}) < 1e-6);
    }

    TEST_CASE("NaN goes through its own channel only") {
        nn::BatchNorm1d layer(2);
        Tape tape;
        Tensor y = layer(tape.constant(Tensor::of<float>({2, 2}, {1, NAN, 2, 3}))).value();
        CHECK(std::isfinite(y.at(0)));
        CHECK(std::isnan(y.at(1)));
        CHECK(std::isfinite(y.at(2)));
        CHECK(std::isnan(y.at(3)));
    }

    TEST_CASE("evaluation before any training step warns once") {
        nn::BatchNorm1d layer(3);
        layer.evaluate();
        StandardErrorCapture capture;
        for (int pass = 0; pass < 3; ++pass) {
            Tape tape;
            layer(tape.constant(scattered({5, 3})));
        }
        CHECK(capture.text() == untrained);
    }

    TEST_CASE("evaluation after training, or with statistics that were set, does not warn") {
        nn::BatchNorm1d trained(3), set(3);
        Tape tape;
        trained(tape.constant(scattered({5, 3})));
        commit(tape);
        set.set_running_statistics(Tensor::full({3}, 0), Tensor::full({3}, 2));
        StandardErrorCapture capture;
        for (nn::BatchNorm1d* layer : {&trained, &set}) {
            layer->evaluate();
            Tape evaluation;
            (*layer)(evaluation.constant(scattered({5, 3})));
        }
        CHECK(capture.text() == "");
    }
}

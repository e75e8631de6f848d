#include <cotape/nn/recurrent_batch_norm.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/recurrent.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "numbers.hpp"
#include "plain_batch_norm.hpp"
#include "snapshot.hpp"
#include "standard_error.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

constexpr std::int64_t count = 4, examples = 5, features = 2;

/// x at one step, those examples alone that have it.
Tensor at_step(const Tensor& x, std::int64_t step, const std::vector<std::int64_t>& lengths) {
    std::vector<float> rows;
    for (std::int64_t i = 0; i < x.shape()[1]; ++i)
        for (std::int64_t c = 0; c < features && lengths[static_cast<std::size_t>(i)] > step; ++c)
            rows.push_back(x.elements<float>()[static_cast<std::size_t>((step * x.shape()[1] + i) * features + c)]);
    return Tensor::of({static_cast<std::int64_t>(rows.size()) / features, features}, rows);
}

/// What the plain loops give for a step, with scale 0.1 and no shift.
PlainBatchNorm plain_step(const Tensor& x, std::int64_t step, const std::vector<std::int64_t>& lengths) {
    return PlainBatchNorm(at_step(x, step, lengths), {0.1, 0.1}, {0, 0}, 1e-5);
}

const std::vector<std::int64_t> unpadded(examples, count), padded{4, 2, 3, 1, 3};

/// Normalises x at once or step by step.
Var normalize(nn::RecurrentBatchNorm& layer, Var x, const std::vector<std::int64_t>& lengths, bool at_once) {
    Tensor mask = lengths == unpadded ? Tensor() : nn::padding_mask(lengths, x.shape()[0]);
    nn::Steps steps(x.tape(), x.shape()[0], x.shape()[1], mask, x.dtype());
    Var rows = reshape(x, {steps.count() * steps.examples(), features});
    if (at_once) return layer.normalize(x, steps);
    nn::RecurrentBatchNorm::Sequence sequence(layer, x.tape(), steps);
    std::vector<Operand> outputs;
    for (std::int64_t step = 0; step < steps.count(); ++step) outputs.emplace_back(sequence(steps.rows(rows, step)));
    sequence.finish();
    return reshape(concatenate(outputs, 0), x.shape());
}

Tensor input(double phase = 0) { return scattered({count, examples, features}, phase); }

/// The rows `begin` to `end` of a matrix of two columns.
std::vector<double> rows_of(const Tensor& matrix, std::int64_t begin, std::int64_t end) {
    return elements_of(matrix.part(begin * features, {end - begin, features}));
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("each step is normalised with its own mean and variance, over the sequences that have it") {
        for (bool at_once : {true, false})
            for (const std::vector<std::int64_t>& lengths : {unpadded, padded}) {
                nn::RecurrentBatchNorm layer(features, count);
                Tape tape;
                Tensor x = input(), y = normalize(layer, tape.constant(x), lengths, at_once).value();
                for (std::int64_t step = 0; step < count; ++step) {
                    PlainBatchNorm plain = plain_step(x, step, lengths);
                    std::vector<double> expected =
                        at_step(x, step, lengths).shape()[0] > 1 ? plain.y : std::vector<double>{0, 0};
                    CHECK(distance(at_step(y, step, lengths), expected) < 1e-6);
                }
            }
    }

    TEST_CASE("a commit moves the running statistics of each step, by the momentum or to the plain average") {
        for (std::optional<double> momentum : {std::optional(0.3), std::optional<double>()})
            for (const std::vector<std::int64_t>& lengths : {unpadded, padded}) {
                nn::RecurrentBatchNorm layer(features, count + 1, {.momentum = momentum});
                std::vector<double> mean(count * features, 0), variance(count * features, 1);
                for (int batch = 0; batch < 3; ++batch) {
                    Tape tape;
                    normalize(layer, tape.constant(input(batch)), lengths, batch % 2 == 0);
                    commit(tape);
                    for (std::int64_t step = 0; step < count; ++step) {
                        PlainBatchNorm plain = plain_step(input(batch), step, lengths);
                        if (plain.y.size() == features) continue; // one sequence alone has the step
                        double weight = momentum.value_or(1.0 / (batch + 1));
                        for (std::size_t c = 0; c < features; ++c) {
                            double &m = mean[static_cast<std::size_t>(step) * features + c],
                                   &v = variance[static_cast<std::size_t>(step) * features + c];
                            m += weight * (plain.mean[c] - m);
                            v += weight * (plain.sample_variance[c] - v);
                        }
                    }
                }
                CHECK(distance(rows_of(layer.running_mean(), 0, count), mean) < 1e-6);
                CHECK(distance(rows_of(layer.running_variance(), 0, count), variance) < 1e-6);
                CHECK(distance(rows_of(layer.running_mean(), count, count + 1), {0, 0}) == 0);
                CHECK(layer.batches_seen() == 3);
            }
    }

    TEST_CASE(
        "evaluation normalises each step with its running statistics, and steps that training did not reach with the "
        "last ones that it did") {
        for (bool at_once : {true, false})
            for (std::int64_t told_apart : {count - 1, count, count + 3}) {
                nn::RecurrentBatchNorm layer(features, told_apart, {.momentum = 1});
                Tape training;
                Tensor x = input();
                normalize(layer, training.constant(x), unpadded, at_once);
                commit(training);
                layer.evaluate();
                Tape tape;
                Tensor longer = scattered({count + 2, examples, features}, 5);
                Tensor y =
                    normalize(layer, tape.constant(longer), std::vector<std::int64_t>(examples, count + 2), at_once)
                        .value();
                for (std::int64_t step = 0; step < count + 2; ++step) {
                    PlainBatchNorm from = plain_step(x, std::min({step, count - 1, told_apart - 1}), unpadded);
                    std::vector<std::int64_t> all(examples, count + 2);
                    PlainBatchNorm plain(at_step(longer, step, all), from.mean, from.sample_variance, {0.1, 0.1},
                                         {0, 0}, 1e-5);
                    CHECK(distance(at_step(y, step, all), plain.y) < 1e-6);
                }
            }
    }

    TEST_CASE(
        "evaluation normalises steps before any that training reached, and between them, with the nearest known") {
        nn::RecurrentBatchNorm layer(features, count + 1, {.momentum = 1});
        Tensor x = scattered({count + 1, examples, features});
        Tensor mask = Tensor::make<float>({count + 1, examples}, [](std::span<float> present) {
            for (std::size_t i = 0; i < present.size(); ++i) present[i] = i / examples == 1 || i / examples == 3;
        });
        Tape training;
        nn::Steps steps(training, count + 1, examples, mask, Dtype::float32);
        layer.normalize(training.constant(x), steps);
        commit(training);
        layer.evaluate();
        Tape tape;
        Tensor y = layer(tape.constant(x)).value();
        const std::vector<std::int64_t> all(examples, count + 1);
        for (std::int64_t step = 0; step <= count; ++step) {
            PlainBatchNorm from = plain_step(x, step < 3 ? 1 : 3, all);
            PlainBatchNorm plain(at_step(x, step, all), from.mean, from.sample_variance, {0.1, 0.1}, {0, 0}, 1e-5);
            CHECK(distance(at_step(y, step, all), plain.y) < 1e-6);
        }
    }

    TEST_CASE("statistics shared by all steps are those of a BatchNorm1d that sees each step as a batch") {
        nn::RecurrentBatchNorm layer(features, count, {.initial_scale = 1, .shared = true});
        nn::BatchNorm1d plain(features);
        Tensor x = input();
        Tape tape;
        Tensor y = normalize(layer, tape.constant(x), unpadded, false).value();
        commit(tape);
        Tape steps;
        for (std::int64_t step = 0; step < count; ++step) {
            Tensor expected = plain(steps.constant(at_step(x, step, unpadded))).value();
            CHECK(distance(at_step(y, step, unpadded), elements_of(expected)) < 1e-6);
        }
        commit(steps);
        CHECK(distance(layer.running_mean(), elements_of(plain.running_mean())) < 1e-6);
        CHECK(distance(layer.running_variance(), elements_of(plain.running_variance())) < 1e-6);
        layer.evaluate();
        plain.evaluate();
        Tape evaluation;
        y = layer(evaluation.constant(x)).value();
        for (std::int64_t step = 0; step < count; ++step)
            CHECK(distance(at_step(y, step, unpadded),
                           elements_of(plain(evaluation.constant(at_step(x, step, unpadded))).value())) < 1e-6);
    }

    TEST_CASE("a feature that does not vary becomes the shift exactly, however large it is and whatever is padded") {
        for (const std::vector<std::int64_t>& lengths : {unpadded, padded, {4, 4, 4, 2, 1}, {4, 4, 4, 4, 3}})
            for (double value : {0.1, -3.1, 77.7, 12345.6, 123456.7, 1e6 + 0.3, -1e30})
                for (bool at_once : {true, false}) {
                    CAPTURE(value);
                    nn::RecurrentBatchNorm layer(features, count, {.momentum = 1});
                    layer.parameters()[1].state.assign(Tensor::full({features}, 0.75));
                    Tape tape;
                    Tensor x = Tensor::full({count, examples, features}, value);
                    Tensor y = normalize(layer, tape.constant(x), lengths, at_once).value();
                    for (std::int64_t step = 0; step < count; ++step)
                        for (double element : elements_of(at_step(y, step, lengths))) CHECK(element == 0.75);
                    commit(tape);
                    CHECK(layer.running_variance().at(0) == 0);
                }
    }

    TEST_CASE("a small variance about a large mean is not lost, and values spread over 1e30 give the shift") {
        for (const std::vector<std::int64_t>& lengths : {unpadded, padded})
            for (bool at_once : {true, false}) {
                nn::RecurrentBatchNorm layer(features, count);
                Tape tape;
                Tensor near = Tensor::make<float>({count, examples, features}, [](std::span<float> elements) {
                    for (std::size_t i = 0; i < elements.size(); ++i)
                        elements[i] = 1e6f + 0.0625f * static_cast<float>(i * i % 7);
                });
                Tensor y = normalize(layer, tape.constant(near), lengths, at_once).value();
                for (std::int64_t step = 0; step < count; ++step) {
                    if (at_step(near, step, lengths).shape()[0] == 1) continue; // has no variance
                    // A float32 mean near 1e6 is up to 0.03 off, of deviations from 0.08 up, times the scale of 0.1.
                    CHECK(distance(at_step(y, step, lengths), plain_step(near, step, lengths).y) < 0.04);
                }
                Tensor far = Tensor::make<float>({count, examples, features}, [](std::span<float> elements) {
                    for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = i / features % 2 ? 1e30f : -1e30f;
                });
                Tensor spread = normalize(layer, tape.constant(far), unpadded, at_once).value();
                for (std::int64_t i = 0; i < spread.size(); ++i) CHECK(spread.at(i) == 0);
            }
    }

    TEST_CASE("a feature that does not vary is centred, not scaled: no step of it, and no gradient, is blown up") {
        for (const nn::RecurrentBatchNormOptions& options :
             {nn::RecurrentBatchNormOptions{.momentum = 1},
              nn::RecurrentBatchNormOptions{.momentum = 1, .least_variance = 0}}) {
            nn::RecurrentBatchNorm layer(features, count, options);
            layer.parameters()[1].state.assign(Tensor::full({features}, 0.75));
            Tape tape;
            Var x = tape.variable(Tensor::full({count, examples, features}, 3.1)), y = layer(x);
            CHECK(distance(y.value(), std::vector<double>(count * examples * features, 0.75)) == 0);
            Tensor slope = gradient(sum(y * tape.constant(input())), x).value();
            CHECK(all_finite(slope));
            for (std::int64_t i = 0; i < slope.size(); ++i) CHECK(std::abs(slope.at(i)) < 0.2);
            commit(tape);
            layer.evaluate();
            Tape evaluation;
            double moved = layer(evaluation.constant(Tensor::full({count, 1, features}, 4.1))).value().at(0) - 0.75;
            CHECK(moved == doctest::Approx(0.1).epsilon(1e-5));
        }
    }

    TEST_CASE("a batch of one is normalised in evaluation, and refused in training") {
        nn::RecurrentBatchNorm layer(features, count);
        Tape tape;
        Tensor one = scattered({count, 1, features});
        CHECK_THROWS_WITH_AS(
            layer(tape.constant(one)),
            "RecurrentBatchNorm: expected more than 1 value per feature and step when training, got input "
            "size [4, 1, 2]",
            ShapeError);
        layer.set_running_statistics(Tensor::full({count, features}, 0), Tensor::full({count, features}, 1));
        layer.evaluate();
        CHECK(distance(layer(tape.constant(one)).value(), elements_of((tape.constant(one) * 0.1).value())) < 1e-6);
    }

    TEST_CASE("per-step batch norm refuses what it cannot normalise, and options out of range") {
        nn::RecurrentBatchNorm layer(features, count);
        Tape tape;
        auto zeros = [&](const Shape& shape) { return tape.constant(Tensor::full(shape, 0)); };
        for (const Shape& shape : {Shape{5, 2}, Shape{4, 5, 3}, Shape{0, 5, 2}})
            CHECK_THROWS_WITH_AS(layer(zeros(shape)),
                                 ("RecurrentBatchNorm: needs [steps, examples, 2], got " + to_string(shape)).c_str(),
                                 ShapeError);
        CHECK_THROWS_WITH_AS(layer(zeros({4, 0, 2})), "RecurrentBatchNorm: needs at least one example, got [4, 0, 2]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(nn::RecurrentBatchNorm(0, 3),
                             "RecurrentBatchNorm: needs at least one feature and one step, got 0 and 3", ValueError);
        CHECK_THROWS_WITH_AS(nn::RecurrentBatchNorm(3, 0),
                             "RecurrentBatchNorm: needs at least one feature and one step, got 3 and 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::RecurrentBatchNorm(3, 3, {.momentum = 2}),
                             "RecurrentBatchNorm: momentum must be in [0, 1], got 2", ValueError);
        CHECK_THROWS_WITH_AS(nn::RecurrentBatchNorm(3, 3, {.epsilon = -1}),
                             "RecurrentBatchNorm: epsilon must not be negative, got -1", ValueError);
        CHECK_THROWS_WITH_AS(nn::RecurrentBatchNorm(3, 3, {.least_variance = NAN}),
                             "RecurrentBatchNorm: least_variance must not be negative, got nan", ValueError);
        CHECK_THROWS_WITH_AS(nn::RecurrentBatchNorm(3, 3, {.initial_scale = NAN}),
                             "RecurrentBatchNorm: initial_scale must be finite, got nan", ValueError);
        CHECK_THROWS_WITH_AS(normalize(layer, tape.constant(input()), std::vector<std::int64_t>(examples, 0), true),
                             "RecurrentBatchNorm: the mask leaves nothing of [4, 5, 2] to normalise in training",
                             ValueError);
        nn::RecurrentBatchNorm without(features, count, {.epsilon = 0});
        CHECK_THROWS_WITH_AS(without(tape.constant(input())),
                             "RecurrentBatchNorm: epsilon must be positive in training, got 0", ValueError);
        for (const auto& [path, state] : layer.statistics()) CHECK_FALSE(tape.has_proposal(state));
    }

    TEST_CASE("evaluation of per-step batch norm before any training step warns once") {
        nn::RecurrentBatchNorm layer(features, count);
        layer.evaluate();
        StandardErrorCapture capture;
        for (int pass = 0; pass < 2; ++pass) {
            Tape tape;
            layer(tape.constant(input()));
        }
        CHECK(capture.text() ==
              "cotape: RecurrentBatchNorm evaluates before any training step: its running mean is 0 and its "
              "running variance 1\n");
    }

    TEST_CASE("NaN goes through its own step and feature only") {
        nn::RecurrentBatchNorm layer(features, count);
        std::vector<double> elements = elements_of(input());
        elements[3] = NAN;
        Tape tape;
        Tensor y =
            layer(tape.constant(Tensor::of<double>({count, examples, features}, elements).as(Dtype::float32))).value();
        for (std::int64_t i = 0; i < y.size(); ++i)
            CHECK(std::isnan(y.at(i)) == (i < examples * features && i % 2 == 1));
    }

    TEST_CASE(
        "gradient checks, repeated passes and evaluation leave the statistics of all steps bitwise as they were") {
        nn::RecurrentBatchNorm layer(features, count);
        {
            Tape tape;
            layer(tape.constant(input(9)));
            commit(tape);
        }
        Snapshot before(layer);
        auto cubes = [](Var y) { return sum(y * y * y); };
        CHECK(nn::check_gradients(layer, input(), cubes, {.order = 2}));
        for (int pass = 0; pass < 2; ++pass) {
            Tape tape;
            normalize(layer, tape.constant(input(pass)), padded, pass == 0).value();
        }
        layer.evaluate();
        Tape tape;
        normalize(layer, tape.constant(input()), unpadded, false).value();
        commit(tape);
        CHECK(before.is_current());
        layer.train();
        Tape repeated;
        Var x = repeated.constant(input());
        for (int pass = 0; pass < 3; ++pass) normalize(layer, x, unpadded, true);
        commit(repeated);
        CHECK(layer.batches_seen() == 2);
    }

    TEST_CASE("per-step batch norm has parameters and statistics under PyTorch's names, and says what it is") {
        nn::RecurrentBatchNorm layer(3, 7, {.shift = false});
        std::vector<std::string> names;
        for (const auto& [path, state] : layer.parameters()) names.push_back(path + to_string(state.type().shape));
        for (const auto& [path, state] : layer.statistics()) names.push_back(path + to_string(state.type().shape));
        CHECK(names == std::vector<std::string>{"weight[3]", "running_mean[7, 3]", "running_var[7, 3]",
                                                "num_batches_tracked[7, 1]"});
        CHECK(layer.parameters()[0].state.value().at(0) == 0.1f);
        CHECK(layer.describe() ==
              "RecurrentBatchNorm(3, 7 steps, epsilon 1e-05, momentum 0.1 of the new value, running "
              "variance / (n - 1), no shift)");
    }
}

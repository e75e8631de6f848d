#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <random>

#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/softmax.hpp>

using namespace cotape;

namespace {

double largest_difference(const Tensor& a, const Tensor& b) {
    double largest = 0;
    for (std::int64_t i = 0; i < a.size(); ++i)
        if (a.at(i) != b.at(i)) largest = std::fmax(largest, std::abs(a.at(i) - b.at(i)) / (1 + std::abs(a.at(i))));
    return largest;
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("sums, means, variances and extrema of long rows and of many agree fused and plain") {
        for (Shape shape : {Shape{300, 3000}, Shape{3000, 300}, Shape{70, 5, 1700}, Shape{40, 7, 9, 100},
                            Shape{12, 70, 600}, Shape{3, 200, 700}, Shape{200001}})
            for (auto [dtype, together] :
                 {std::pair{Dtype::float32, true}, {Dtype::float32, false}, {Dtype::float64, true}}) {
                std::vector<Tensor> values[2];
                for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused}) {
                    std::mt19937 random(3);
                    Tensor elements = Tensor::make<double>(shape, [&](std::span<double> all) {
                        for (double& element : all) element = static_cast<double>(random() % 2001) / 1000 + 50;
                    });
                    Tape tape({.evaluator = evaluator});
                    Var x = tape.variable(elements.as(dtype)), y = x * 0.5;
                    std::vector<Var> outputs;
                    std::vector<Shape> all_axes{{0}, {-1}};
                    if (shape.size() > 2) all_axes.insert(all_axes.end(), {{1}, {0, 2}, {0, 1}});
                    for (const Shape& axes : all_axes) {
                        outputs.insert(outputs.end(), {sum(y, axes), mean(y, axes), variance(y, axes), mean(x, axes),
                                                       max(y, axes), min(y, axes), logsumexp(y, axes)});
                        if (!together) evaluate(outputs, Keep::requested); // groups of folds over the same axes
                    }
                    outputs.push_back(softmax(y, -1));
                    evaluate(outputs, Keep::requested);
                    for (Var output : outputs) values[evaluator == Evaluator::fused].push_back(output.value());
                }
                for (std::size_t i = 0; i < values[0].size(); ++i) {
                    CAPTURE(i);
                    CAPTURE(to_string(shape));
                    CAPTURE(together);
                    REQUIRE(values[0][i].type() == values[1][i].type());
                    // Both sum in double, in another order: float32 results differ by one rounding at most, and float64
                    // ones by that of up to 200,001 terms.
                    CHECK(largest_difference(values[0][i], values[1][i]) < (dtype == Dtype::float32 ? 1.2e-7 : 1e-11));
                }
            }
    }

    TEST_CASE("reductions of infinities and NaN agree fused and plain") {
        constexpr float infinity = std::numeric_limits<float>::infinity();
        Tensor elements =
            Tensor::of<float>({5, 2}, {1, infinity, -infinity, -infinity, infinity, infinity, NAN, 2, -infinity, 3});
        for (const auto& reduce : {+[](Var x) { return max(x, {-1}); }, +[](Var x) { return min(x, {-1}); },
                                   +[](Var x) { return logsumexp(x, {-1}); }, +[](Var x) { return variance(x, {-1}); },
                                   +[](Var x) { return max(x, {0}); }, +[](Var x) { return logsumexp(x, {0}); },
                                   +[](Var x) { return mean(x, {0}); }, +[](Var x) { return softmax(x, -1); }}) {
            Tensor values[2];
            for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused}) {
                Tape tape({.evaluator = evaluator});
                values[evaluator == Evaluator::fused] = reduce(tape.variable(elements) * 1).value();
            }
            for (std::int64_t i = 0; i < values[0].size(); ++i) {
                CAPTURE(i);
                CHECK((values[0].at(i) == values[1].at(i) ||
                       (std::isnan(values[0].at(i)) && std::isnan(values[1].at(i)))));
            }
        }
    }

    TEST_CASE("the results of a group do not depend on the number of threads") {
        for (const auto& [shape, axes] : {std::pair{Shape{400, 700}, Shape{0}}, {Shape{4000, 70}, Shape{0}},
                                          {Shape{12, 60, 700}, Shape{1}}, {Shape{64, 33, 110}, Shape{0, 2}}}) {
            std::vector<Tensor> values[3];
            for (int threads : {1, 2, 3}) {
                omp_set_num_threads(threads);
                Tape tape({.evaluator = Evaluator::fused});
                Var x = tape.variable(Tensor::make<float>(shape, [](std::span<float> elements) {
                    for (std::size_t i = 0; i < elements.size(); ++i)
                        elements[i] = static_cast<float>(i * 7919 % 1009) / 500 - 1;
                }));
                ReduceOptions keep{.keep_dims = true};
                Var y = (x - mean(x, axes, keep)) * rsqrt(variance(x, axes, keep) + 0.1);
                std::vector<Var> outputs{y, gradient(sum(tanh(y) * x), x), softmax(y, -1)};
                evaluate(outputs, Keep::requested);
                for (Var output : outputs) values[threads - 1].push_back(output.value());
            }
            omp_set_num_threads(omp_get_num_procs());
            for (const std::vector<Tensor>& others : {values[1], values[2]})
                for (std::size_t i = 0; i < others.size(); ++i) {
                    CAPTURE(to_string(shape));
                    CHECK(std::memcmp(values[0][i].bytes_begin(), others[i].bytes_begin(), others[i].bytes()) == 0);
                }
        }
    }

    TEST_CASE("a plan is not taken for another op that has come to lie at the same address") {
        alignas(Op) std::byte room[sizeof(Op)];
        auto value_of = [&](Op op) {
            Op* placed = new (room) Op(std::move(op));
            Tape tape({.evaluator = Evaluator::fused});
            Var x = tape.variable(Tensor(3.0));
            double value = (record(*placed, {x}) + x).item();
            tape.clear();
            placed->~Op();
            return value;
        };
        auto one = [](Var, Var g, Var) { return g; };
        CHECK(value_of(elementwise("first", [](auto x) { return x + 100; }, one)) == 106);
        CHECK(value_of(elementwise("second", [](auto x) { return x + 200; }, one)) == 206);
    }

    TEST_CASE("an op that changes the element type does not join a group of another type") {
        Op widen = elementwise("widen", [](auto x) { return x; }, no_derivative);
        widen.type = [](const Call& call) { return Type{call.shape(0), Dtype::float64}; };
        widen.kernel = [](const Call&, const Type&, std::span<const Tensor> inputs) {
            return inputs[0].as(Dtype::float64);
        };
        Tape tape({.evaluator = Evaluator::fused});
        Var x = tape.variable(Tensor::make<float>({4000}, [](std::span<float> elements) {
            for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(i);
        }));
        Tensor y = (record(widen, {x}) + 0.5).value();
        CHECK(y.at(0) == 0.5);
        CHECK(y.at(1500) == 1500.5);
        CHECK(y.at(3999) == 3999.5);
    }

    TEST_CASE("a shape that cannot be addressed is refused when it is recorded") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        std::int64_t huge = std::int64_t(1) << 33;
        CHECK_THROWS_WITH_AS(sum(broadcast_to(x, {huge, huge})),
                             "broadcast_to: [8589934592, 8589934592] has more elements than can be addressed",
                             ShapeError);
        CHECK_THROWS_WITH_AS(tape.full({-2}, 1, Dtype::float64), "full: negative extent in [-2]", ShapeError);
        CHECK_THROWS_WITH_AS(reshape(x, {7, 7905747460161236407}),
                             "reshape: cannot make [7, 7905747460161236407] of []", ShapeError);
        CHECK(tape.size() == 1);
    }

    TEST_CASE("a step beyond the end takes the first element") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({5}, {1, 2, 3, 4, 5}));
        Tensor first = slice(x, 0, 0, 5, std::numeric_limits<std::int64_t>::max()).value();
        CHECK(first.shape() == Shape{1});
        CHECK(first.at(0) == 1);
    }

    TEST_CASE("int64 tensors take whole numbers alone") {
        Tape tape;
        Var x = tape.variable(Tensor::of<std::int64_t>({1}, {1}));
        CHECK_THROWS_WITH_AS(pad(x, {1}, {0}, 0.5), "pad: cannot use 0.5 with int64 elements", DtypeError);
        CHECK_THROWS_WITH_AS(tape.full({1}, 2.7, Dtype::int64), "full: cannot use 2.7 with int64 elements", DtypeError);
    }

    TEST_CASE("the derivative of the power 0 is 0 for the smallest bases too") {
        Tape tape;
        Var x = tape.variable(Tensor(1e-45f));
        CHECK(gradient(pow(x, 0), x).item() == 0);
    }

    TEST_CASE("an elementwise op refuses another number of operands than it has") {
        Op two = elementwise("two", [](auto a, auto b) { return a + b; }, no_derivative, no_derivative);
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        CHECK_THROWS_WITH_AS(record(two, {x}), "two: takes 2 operands, got 1", ShapeError);
        CHECK_THROWS_WITH_AS(record(two, {x, x, x}), "two: takes 2 operands, got 3", ShapeError);
    }

    TEST_CASE("an op without loops for tiles is computed by its kernel") {
        Op op{.name = "twice",
              .type = [](const Call& call) { return call.type(0); },
              .kernel = [](const Call&, const Type&, std::span<const Tensor> x) { return Tensor(2 * x[0].item()); },
              .kind = OpKind::elementwise};
        Tape tape({.evaluator = Evaluator::fused});
        CHECK((record(op, {tape.variable(Tensor(3.0))}) + 1).item() == 7);
        CHECK_THROWS_WITH_AS(record(Op{.name = "empty", .type = nullptr, .kernel = nullptr},
                                    {tape.variable(Tensor(3.0))}),
                             "empty: the op has no shape rule", ValueError);
    }

    TEST_CASE("padding beyond what can be addressed is refused") {
        constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
        Tape tape;
        Var x = tape.variable(Tensor::full({3}, 1));
        CHECK_THROWS_AS(pad(x, {most}, {most}), ShapeError);
    }
}

#include <cmath>
#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>

#include "../nn/numbers.hpp"
#include "planned.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

constexpr ReduceOptions keep{.keep_dims = true};

std::vector<Var> statistics(Var x) { return {sum(x, {0}), mean(x, {0}), variance(x, {0}), max(x, {0})}; }

/// Fails where any number of threads gives other bits than one.
std::vector<Tensor> values_on_any(const Tensor& x, const std::function<std::vector<Var>(Var)>& record) {
    std::vector<Tensor> expected = values_on(1, x, record, Keep::requested);
    for (int threads : {2, 3, 4, 5}) {
        CAPTURE(threads);
        std::vector<Tensor> values = values_on(threads, x, record, Keep::requested);
        for (std::size_t i = 0; i < values.size(); ++i) CHECK(same_bits(values[i], expected[i]));
    }
    return expected;
}

/// Of a column of a matrix: sum, mean, population variance and largest element.
std::vector<double> statistics_of_column(const Tensor& x, std::int64_t column) {
    std::int64_t rows = x.shape()[0], columns = x.shape()[1];
    long double total = 0, squares = 0;
    double largest = -INFINITY;
    for (std::int64_t row = 0; row < rows; ++row) {
        total += x.at(row * columns + column);
        largest = std::max(largest, x.at(row * columns + column));
    }
    long double middle = total / rows;
    for (std::int64_t row = 0; row < rows; ++row) {
        long double distance = x.at(row * columns + column) - middle;
        squares += distance * distance;
    }
    return {static_cast<double>(total), static_cast<double>(middle), static_cast<double>(squares / rows), largest};
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("rows that are folded in stretches give exact statistics, with the same bits on any number of threads") {
        for (std::int64_t rows : {1, 31, 63, 64, 65, 127, 128, 129, 300})
            for (std::int64_t columns : {3, 128, 500, 513, 2500})
                for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                    CAPTURE(rows);
                    CAPTURE(columns);
                    Tensor x = scattered({rows, columns}).as(dtype);
                    std::vector<Tensor> values = values_on_any(x, statistics);
                    double rounding = dtype == Dtype::float32 ? 0x1p-24 : 1e-15; // a float's, or of 300 sums in double
                    for (std::int64_t column = 0; column < columns; column += 41) {
                        std::vector<double> expected = statistics_of_column(x, column);
                        for (std::size_t i = 0; i < values.size(); ++i)
                            CHECK(std::abs(values[i].at(column) - expected[i]) <=
                                  rounding * (std::abs(expected[i]) + static_cast<double>(i == 0 ? rows : 1)));
                    }
                }
    }

    TEST_CASE("NaN, infinity, and distances that overflow when squared stay in their columns, in any stretch") {
        for (std::int64_t row : {0, 40, 100, 127}) {
            CAPTURE(row);
            Tensor x = Tensor::make<double>({128, 600}, [&](std::span<double> elements) {
                for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(static_cast<double>(i));
                elements[static_cast<std::size_t>(row * 600 + 1)] = NAN;
                elements[static_cast<std::size_t>(row * 600 + 2)] = INFINITY;
                elements[static_cast<std::size_t>(row * 600 + 3)] = 1e200;
            });
            std::vector<Tensor> values = values_on_any(x, statistics);
            const Tensor &middle = values[1], &spread = values[2];
            CHECK(std::isnan(middle.at(1)));
            CHECK(std::isnan(spread.at(1)));
            CHECK(middle.at(2) == INFINITY);
            CHECK(std::isnan(spread.at(2)));
            CHECK(middle.at(3) == doctest::Approx(1e200 / 128));
            CHECK(spread.at(3) == INFINITY);
            for (std::int64_t column : {0, 4, 599}) CHECK(spread.at(column) == doctest::Approx(0.5).epsilon(0.1));
        }
    }

    TEST_CASE("groups of little data run one by one, of much part by part, but for rows that would collide in a cache") {
        auto normalized = [](Var x) {
            Var y = (x - mean(x, {0}, keep)) * rsqrt(variance(x, {0}, keep) + 0.1);
            return std::vector<Var>{y, gradient(y, x, tanh(x))};
        };
        for (auto [shape, one_by_one] : {std::pair{Shape{64, 512}, true}, {Shape{96, 130}, true},
                                         {Shape{640, 1000}, false}, {Shape{640, 1024}, true}, {Shape{96, 4096}, false}}) {
            CAPTURE(to_string(shape));
            Tape tape({.evaluator = Evaluator::fused});
            FusionPlan plan = planned(normalized(tape.variable(scattered(shape))));
            REQUIRE(plan.series.size() == 1);
            CHECK(plan.series[0].one_by_one == one_by_one);
            values_on_any(scattered(shape), normalized);
        }
    }

    TEST_CASE("sums over rows have the same bits asked for first and asked for together, whatever is read beside them") {
        for (const Shape& shape : {Shape{64, 4, 32}, {64, 4, 128}, {130, 4, 300}, {500, 4, 5}})
            for (const Shape& beside : {Shape{4, 1}, {shape[0], 1, shape[2]}, {shape[2]}}) {
                CAPTURE(to_string(shape));
                CAPTURE(to_string(beside));
                auto total_of = [&](bool first) {
                    Tape tape({.evaluator = Evaluator::fused});
                    Var x = tape.variable(scattered<double>(shape)), g = tape.variable(scattered<double>(shape, 1));
                    Var total = sum(x * g + tape.variable(scattered<double>(beside, 2)), {0}), y = x * g - total;
                    if (first) evaluate(std::vector{total}, Keep::all);
                    evaluate(std::vector{total, y * tanh(sum(y * y, {0}))}, Keep::all);
                    return total.value();
                };
                CHECK(same_bits(total_of(true), total_of(false)));
            }
    }
}

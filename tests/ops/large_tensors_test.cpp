#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/softmax.hpp>

#include "reference_array.hpp"

using namespace cotape;

namespace {

Tensor scattered(const Shape& shape) {
    return Tensor::make<double>(shape, [](std::span<double> elements) {
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(12.9898 * double(i + 1));
    });
}

void check_equal(Var got, const Array& expected) {
    Tensor value = got.value();
    REQUIRE(to_string(value.shape()) == to_string(expected.shape));
    double largest = 0;
    for (std::int64_t i = 0; i < value.size(); ++i)
        largest = std::fmax(largest, std::fabs(value.at(i) - expected.values[static_cast<std::size_t>(i)]));
    // Sums of up to a hundred thousand terms of size one.
    CHECK(largest <= 1e-10);
}

using Group = std::vector<double>;

double sum_of(const Group& group) {
    double sum = 0;
    for (double x : group) sum += x;
    return sum;
}
double mean_of(const Group& group) { return sum_of(group) / static_cast<double>(group.size()); }
double variance_of(const Group& group) {
    double mean = mean_of(group), sum = 0;
    for (double x : group) sum += (x - mean) * (x - mean);
    return sum / static_cast<double>(group.size());
}
double largest_of(const Group& group) { return *std::max_element(group.begin(), group.end()); }

} // namespace

// Tiles, blocks, lanes and threads begin only beyond the sizes of the op table.
TEST_SUITE("ops") {
    TEST_CASE("broadcasting is right beyond one tile and on several threads") {
        for (auto [a, b] : {std::pair<Shape, Shape>{{130, 1}, {1, 600}}, {{130, 600}, {600}}, {{13, 1, 600}, {10, 1}},
                            {{}, {1500}}, {{1, 1030}, {2, 1}}}) {
            Tape tape;
            Tensor left = scattered(a), right = scattered(b);
            auto difference = elementwise_reference([](double x, double y) { return x - y; });
            check_equal(tape.constant(left) - tape.constant(right), difference({Array(left), Array(right)}));
            check_equal(tape.constant(right) - tape.constant(left), difference({Array(right), Array(left)}));
        }
    }

    TEST_CASE("reductions are right beyond one block of lanes and on several threads") {
        for (auto [shape, axes] : {std::pair<Shape, Shape>{{130, 600}, {0}}, {{130, 600}, {1}}, {{130, 600}, {0, 1}},
                                   {{20, 60, 70}, {1}}, {{20, 60, 70}, {0, 2}}, {{20, 60, 70}, {0, 1}}}) {
            CAPTURE(to_string(axes));
            Tape tape;
            Tensor values = scattered(shape);
            Var x = tape.constant(values);
            Arrays arrays{Array(values)};
            check_equal(sum(x, axes), reduced_reference(axes, false, sum_of)(arrays));
            check_equal(mean(x, axes), reduced_reference(axes, false, mean_of)(arrays));
            check_equal(variance(x, axes), reduced_reference(axes, false, variance_of)(arrays));
            check_equal(max(x, axes), reduced_reference(axes, false, largest_of)(arrays));
        }
        Tape tape;
        Tensor values = scattered({20, 60, 70});
        Var x = tape.constant(values);
        check_equal(batch_mean(x), reduced_reference({0, 2}, true, mean_of)({Array(values)}));
        check_equal(batch_variance(x), reduced_reference({0, 2}, true, variance_of)({Array(values)}));
    }

    TEST_CASE("softmax is right on several threads, along either axis") {
        Tape tape;
        Tensor values = scattered({130, 600});
        auto exponentials = elementwise_reference([](double x) { return std::exp(x); })({Array(values)});
        for (std::int64_t axis : {0, 1}) {
            Array sums = reduced_reference({axis}, true, sum_of)({exponentials});
            check_equal(softmax(tape.constant(values), axis),
                        elementwise_reference([](double e, double sum) { return e / sum; })({exponentials, sums}));
        }
    }

    TEST_CASE("large products, permutations and slices are right") {
        Tape tape;
        Tensor left = scattered({70, 170}), right = scattered({170, 90});
        Array a(left), b(right);
        Var x = tape.constant(left), y = tape.constant(right);
        Array product({70, 90}, [&](const Shape& i) {
            double sum = 0;
            for (std::int64_t k = 0; k < 170; ++k) sum += a(i[0], k) * b(k, i[1]);
            return sum;
        });
        check_equal(matmul(x, y), product);
        check_equal(matmul(transpose(x), transpose(y), {.transpose_a = true, .transpose_b = true}), product);
        check_equal(transpose(x), Array({170, 70}, [&](const Shape& i) { return a(i[1], i[0]); }));
        check_equal(slice(x, 1, 3, 130, 7), Array({70, 19}, [&](const Shape& i) { return a(i[0], 3 + 7 * i[1]); }));
        check_equal(concatenate({x, x}, 1), Array({70, 340}, [&](const Shape& i) { return a(i[0], i[1] % 170); }));
    }
}

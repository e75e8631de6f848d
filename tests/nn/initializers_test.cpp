#include <cotape/nn/initializers.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

struct Moments {
    double mean = 0, variance = 0, largest = 0;
};

Moments moments_of(const Tensor& tensor) {
    Moments moments;
    double n = static_cast<double>(tensor.size());
    for (double element : elements_of(tensor)) {
        moments.mean += element / n;
        moments.variance += element * element / n;
        moments.largest = std::max(moments.largest, std::abs(element));
    }
    moments.variance -= moments.mean * moments.mean;
    return moments;
}

/// [outputs, inputs, 3]: a fan-in of 300 and a fan-out of 600; 60,000 draws, whose variance is good to about 1 %.
const Shape shape{200, 100, 3};
constexpr double fan_in = 300, fan_out = 600;

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("uniform and normal draws have the range, the mean and the deviation they are given") {
        std::mt19937 random(1);
        Tensor flat = nn::uniform({60000}, -1, 3, random), bell = nn::normal({60000}, 5, 2, random);
        CHECK(flat.dtype() == Dtype::float32);
        CHECK(std::ranges::all_of(elements_of(flat), [](double x) { return x >= -1 && x <= 3; }));
        CHECK(moments_of(flat).mean == doctest::Approx(1).epsilon(0.02));
        CHECK(moments_of(flat).variance == doctest::Approx(16 / 12.0).epsilon(0.02));
        CHECK(moments_of(bell).mean == doctest::Approx(5).epsilon(0.01));
        CHECK(moments_of(bell).variance == doctest::Approx(4).epsilon(0.03));
        // Within one and two deviations: 68.3 and 95.4 %.
        auto share_within = [&](double distance) {
            std::vector<double> x = elements_of(bell);
            return static_cast<double>(std::ranges::count_if(x, [&](double e) { return std::abs(e - 5) < distance; })) /
                   60000;
        };
        CHECK(share_within(2) == doctest::Approx(0.6827).epsilon(0.02));
        CHECK(share_within(4) == doctest::Approx(0.9545).epsilon(0.01));
    }

    TEST_CASE("Kaiming draws have variance 2 / fan_in, Xavier draws 2 / (fan_in + fan_out)") {
        struct Row {
            const char* name;
            Tensor (*draw)(const Shape&, std::mt19937&, double);
            double gain, variance;
            bool uniform;
        };
        double relu = std::sqrt(2);
        for (const Row& row : {Row{"kaiming_uniform", nn::kaiming_uniform, relu, 2 / fan_in, true},
                               Row{"kaiming_normal", nn::kaiming_normal, relu, 2 / fan_in, false},
                               Row{"xavier_uniform", nn::xavier_uniform, 1, 2 / (fan_in + fan_out), true},
                               Row{"xavier_normal", nn::xavier_normal, 1, 2 / (fan_in + fan_out), false}}) {
            CAPTURE(row.name);
            for (double factor : {1.0, 2.5}) {
                std::mt19937 random(1);
                Moments moments = moments_of(row.draw(shape, random, factor * row.gain));
                double variance = factor * factor * row.variance;
                CHECK(std::abs(moments.mean) < 0.02 * std::sqrt(variance));
                CHECK(moments.variance == doctest::Approx(variance).epsilon(0.03));
                if (row.uniform)
                    CHECK(moments.largest <= std::sqrt(3 * variance) * (1 + 1e-6));
                else
                    CHECK(moments.largest > 3 * std::sqrt(variance));
            }
        }
    }

    TEST_CASE("the default gain of Kaiming draws is that of relu") {
        std::mt19937 random(1), again(1);
        CHECK(same_bits(nn::kaiming_uniform({4, 3}, random), nn::kaiming_uniform({4, 3}, again, std::sqrt(2))));
        CHECK(same_bits(nn::kaiming_normal({4, 3}, random), nn::kaiming_normal({4, 3}, again, std::sqrt(2))));
    }

    TEST_CASE("orthogonal weights have orthonormal rows, or columns where there are fewer, times the gain") {
        for (const Shape& weight :
             {Shape{5, 9}, Shape{9, 5}, Shape{6, 6}, Shape{4, 2, 3}, Shape{1, 1}, Shape{64, 64}}) {
            CAPTURE(to_string(weight));
            std::mt19937 random(1);
            Tensor w = nn::orthogonal(weight, random, 2);
            CHECK(w.shape() == weight);
            std::int64_t rows = weight[0], columns = w.size() / rows;
            bool by_rows = rows <= columns;
            std::int64_t vectors = std::min(rows, columns), length = std::max(rows, columns);
            auto element = [&](std::int64_t vector, std::int64_t i) {
                return by_rows ? w.at(vector * columns + i) : w.at(i * columns + vector);
            };
            double worst = 0;
            for (std::int64_t a = 0; a < vectors; ++a)
                for (std::int64_t b = 0; b < vectors; ++b) {
                    double product = 0;
                    for (std::int64_t i = 0; i < length; ++i) product += element(a, i) * element(b, i);
                    worst = std::max(worst, std::abs(product - (a == b ? 4 : 0)));
                }
            CHECK(worst < 2e-6);
        }
    }

    TEST_CASE("initial weights depend on the generator alone, and advance it") {
        using Draw = Tensor (*)(std::mt19937&);
        for (Draw draw :
             {Draw([](std::mt19937& random) { return nn::uniform({8}, 0, 1, random); }),
              Draw([](std::mt19937& random) { return nn::normal({8}, 0, 1, random); }), Draw([](std::mt19937& random) {
                  return nn::kaiming_uniform({4, 2}, random);
              }),
              Draw([](std::mt19937& random) {
                  return nn::kaiming_normal({4, 2}, random);
              }),
              Draw([](std::mt19937& random) {
                  return nn::xavier_uniform({4, 2}, random);
              }),
              Draw([](std::mt19937& random) {
                  return nn::xavier_normal({4, 2}, random);
              }),
              Draw([](std::mt19937& random) {
                  return nn::orthogonal({4, 2}, random);
              })}) {
            std::mt19937 random(1), again(1);
            Tensor first = draw(random);
            CHECK(same_bits(first, draw(again)));
            CHECK_FALSE(same_bits(first, draw(random)));
        }
    }

    TEST_CASE("initialisers that need a fan refuse weights of rank below 2 or without elements") {
        std::mt19937 random(1);
        CHECK_THROWS_WITH_AS(nn::kaiming_uniform({3}, random),
                             "kaiming_uniform: needs a weight of rank 2 or more, got [3]", ShapeError);
        CHECK_THROWS_WITH_AS(nn::kaiming_normal({}, random), "kaiming_normal: needs a weight of rank 2 or more, got []",
                             ShapeError);
        CHECK_THROWS_WITH_AS(nn::xavier_uniform({3}, random),
                             "xavier_uniform: needs a weight of rank 2 or more, got [3]", ShapeError);
        CHECK_THROWS_WITH_AS(nn::xavier_normal({3}, random), "xavier_normal: needs a weight of rank 2 or more, got [3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(nn::orthogonal({3}, random), "orthogonal: needs a weight of rank 2 or more, got [3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(nn::orthogonal({0, 3}, random), "orthogonal: needs a weight with elements, got [0, 3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(nn::kaiming_normal({3, -1}, random),
                             "kaiming_normal: needs a weight with elements, got [3, -1]", ShapeError);
    }
}

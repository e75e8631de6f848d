#include <cotape/nn/dropout.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

#include "numbers.hpp"

using namespace cotape;
using namespace cotape::testing;

TEST_SUITE("nn") {
    TEST_CASE("dropout zeroes each element with its probability and scales the others to keep the mean") {
        std::mt19937 random(1);
        for (double p : {0.1, 0.5, 0.75}) {
            CAPTURE(p);
            nn::Dropout layer(p, random);
            Tape tape;
            std::vector<double> y = elements_of(layer(tape.constant(Tensor::full({100, 200}, 2))).value());
            std::int64_t zeros = std::ranges::count(y, 0);
            for (double element : y) CHECK((element == 0 || element == doctest::Approx(2 / (1 - p)).epsilon(1e-6)));
            // Five standard deviations of 20,000 draws.
            CHECK(std::abs(static_cast<double>(zeros) / 20000 - p) < 5 * std::sqrt(p * (1 - p) / 20000));
        }
    }

    TEST_CASE("dropout in evaluation, or with p 0, is x itself") {
        std::mt19937 random(1);
        nn::Dropout layer(0.5, random), none(0, random);
        layer.evaluate();
        Tape tape;
        Var x = tape.constant(scattered({4, 3}));
        CHECK(is_same(layer(x), x));
        CHECK(is_same(none(x), x));
    }

    TEST_CASE("dropout with p 1 gives zeros, of infinite inputs too") {
        std::mt19937 random(1);
        nn::Dropout layer(1, random);
        Tape tape;
        CHECK(distance(layer(tape.constant(Tensor::of<float>({2}, {3, INFINITY}))).value(), {0, 0}) == 0);
    }

    TEST_CASE("dropout draws a new mask in each pass, from a generator that the seed determines") {
        auto passes = [](std::uint32_t seed) {
            std::mt19937 random(seed);
            nn::Dropout first(0.5, random), second(0.5, random);
            Tape tape;
            Var x = tape.constant(Tensor::full({64}, 1));
            return std::vector{elements_of(first(x).value()), elements_of(first(x).value()),
                               elements_of(second(x).value())};
        };
        CHECK(passes(1) == passes(1));
        CHECK(passes(1) != passes(2));
        CHECK(passes(1)[0] != passes(1)[1]);
        CHECK(passes(1)[0] != passes(1)[2]);
    }

    TEST_CASE("the gradient passes where the element was kept") {
        std::mt19937 random(1);
        nn::Dropout layer(0.5, random);
        Tape tape;
        Var x = tape.variable(Tensor::full({64}, 1)), y = layer(x);
        CHECK(distance(gradient(sum(y), x).value(), elements_of(y.value())) == 0);
    }

    TEST_CASE("a gradient check of dropout in training is inconclusive, and passes in evaluation") {
        std::mt19937 random(1);
        nn::Dropout layer(0.5, random);
        auto loss = [](Var y) { return square(y); };
        GradientCheckReport report = nn::check_gradients(layer, scattered({8}), loss);
        CHECK(report.verdict == Verdict::inconclusive);
        CHECK(report.reason == "the function gives another output when it is called again: it is not deterministic");
        layer.evaluate();
        CHECK(nn::check_gradients(layer, scattered({8}), loss));
    }

    TEST_CASE("dropout refuses a p outside [0, 1]") {
        std::mt19937 random(1);
        CHECK_THROWS_WITH_AS(nn::Dropout(1.5, random), "Dropout: p must be in [0, 1], got 1.5", ValueError);
        CHECK_THROWS_WITH_AS(nn::Dropout(-0.5, random), "Dropout: p must be in [0, 1], got -0.5", ValueError);
        CHECK_THROWS_WITH_AS(nn::Dropout(NAN, random), "Dropout: p must be in [0, 1], got nan", ValueError);
        CHECK(nn::Dropout(0.25, random).describe() == "Dropout(0.25)");
    }
}

#include <cotape/core/draws.hpp>

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("bounded draws reach every value about equally often") {
        std::mt19937_64 random(1);
        std::vector<int> counts(7);
        for (int i = 0; i < 70000; ++i) ++counts.at(draw_below(random, 7));
        // 10,000 of each, with a standard deviation of 93.
        for (int count : counts) CHECK(std::abs(count - 10000) < 400);
        CHECK(draw_below(random, 1) == 0);
    }

    TEST_CASE("bounded draws of a bound near 2^64 are not biased towards small values") {
        std::mt19937_64 random(1);
        std::uint64_t bound = std::uint64_t(3) << 62;
        int upper = 0;
        for (int i = 0; i < 10000; ++i) {
            std::uint64_t draw = draw_below(random, bound);
            REQUIRE(draw < bound);
            upper += draw >= bound / 2;
        }
        // Half of them, with a standard deviation of 50; a plain remainder would give a third.
        CHECK(std::abs(upper - 5000) < 250);
    }

    TEST_CASE("uniform and normal draws have their mean, variance and range") {
        std::mt19937 random(1);
        double uniform_sum = 0;
        double sum = 0;
        double squares = 0;
        double within = 0;
        int count = 100000;
        for (int i = 0; i < count; ++i) {
            double uniform = draw_uniform(random, -1, 3);
            REQUIRE(uniform >= -1);
            REQUIRE(uniform < 3);
            uniform_sum += uniform;
            double normal = draw_normal(random);
            sum += normal;
            squares += normal * normal;
            within += std::abs(normal) < 1;
        }
        // About five standard errors each.
        CHECK(std::abs(uniform_sum / count - 1) < 0.02);
        CHECK(std::abs(sum / count) < 0.016);
        CHECK(std::abs(squares / count - 1) < 0.022);
        // The sum of twelve is within one of its mean in 67.8 % of draws, a normal one in 68.3 %.
        CHECK(within / count == doctest::Approx(0.68).epsilon(0.02));
    }
}

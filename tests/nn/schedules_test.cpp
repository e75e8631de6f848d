#include <cotape/nn/schedules.hpp>

#include <cmath>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

using namespace cotape;
using doctest::Approx;

TEST_SUITE("nn") {
    TEST_CASE("a step schedule multiplies the rate after every so many steps") {
        nn::Schedule schedule = nn::step_schedule(0.8, 0.5, 3);
        for (std::int64_t step : {0, 1, 2}) CHECK(schedule(step) == 0.8);
        for (std::int64_t step : {3, 4, 5}) CHECK(schedule(step) == 0.4);
        CHECK(schedule(6) == 0.2);
        CHECK(schedule(300) == Approx(0.8 * std::pow(0.5, 100)));
    }

    TEST_CASE("a cosine schedule falls from the rate to the lowest, and stays there") {
        nn::Schedule schedule = nn::cosine_schedule(1, 4, 0.2);
        CHECK(schedule(0) == 1);
        CHECK(schedule(1) == Approx(0.2 + 0.8 * (1 + std::sqrt(0.5)) / 2).epsilon(1e-15));
        CHECK(schedule(2) == Approx(0.6).epsilon(1e-15));
        CHECK(schedule(3) == Approx(0.2 + 0.8 * (1 - std::sqrt(0.5)) / 2).epsilon(1e-15));
        CHECK(schedule(4) == 0.2);
        CHECK(schedule(1000) == 0.2);
        CHECK(nn::cosine_schedule(1, 1)(1) == 0);
    }

    TEST_CASE("a warm-up rises in equal steps to the first rate, then the schedule begins") {
        nn::Schedule schedule = nn::with_warm_up(nn::step_schedule(0.8, 0.5, 2), 4);
        double expected[] = {0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.4, 0.4, 0.2};
        for (std::int64_t step = 0; step < 9; ++step) CHECK(schedule(step) == Approx(expected[step]).epsilon(1e-15));
    }

    TEST_CASE("schedules refuse lengths that are not positive") {
        CHECK_THROWS_WITH_AS(nn::step_schedule(1, 0.5, 0), "step_schedule: every must be positive, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::cosine_schedule(1, -3), "cosine_schedule: steps must be positive, got -3", ValueError);
        CHECK_THROWS_WITH_AS(nn::with_warm_up(nn::cosine_schedule(1, 1), 0),
                             "with_warm_up: steps must be positive, got 0", ValueError);
        CHECK_THROWS_WITH_AS(nn::with_warm_up(nullptr, 5), "with_warm_up: needs a schedule to come after, got none",
                             ValueError);
    }
}

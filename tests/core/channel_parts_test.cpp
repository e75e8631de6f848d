#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/series_plan.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/softmax.hpp>

#include "../nn/numbers.hpp"
#include "planned.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

constexpr ReduceOptions keep{.keep_dims = true};

/// All but the channels.
Shape axes_of(const Shape& images) {
    Shape axes{0};
    for (std::size_t axis = 2; axis < images.size(); ++axis) axes.push_back(static_cast<std::int64_t>(axis));
    return axes;
}

std::vector<Var> statistics_of(Var x) {
    Shape axes = axes_of(x.shape());
    return {mean(x, axes, keep), variance(x, axes, keep)};
}

/// What images are normalised to channel by channel, the gradient of a function of that, and what follows statistics.
std::vector<Var> normalized(Var x) {
    std::vector<Var> statistics = statistics_of(x);
    Var centre = statistics[0], spread = statistics[1];
    Var y = relu((x - centre) * rsqrt(spread + 0.1) + tanh(centre));
    return {y, gradient(y, x, tanh(x)), centre * 0.1 + spread};
}

FusionPlan plan_of(const Tensor& x, const std::function<std::vector<Var>(Var)>& record) {
    Tape tape({.evaluator = Evaluator::fused});
    return planned(record(tape.variable(x)));
}

/// Images with so many and so large channels that these are shared out.
const std::vector<Shape> many_channels{
    {16, 8, 32, 32}, {64, 64, 7, 7}, {9, 13, 20, 21}, {4, 16, 5, 11, 17}, {40, 9, 513}};

} // namespace

TEST_SUITE("core") {
    TEST_CASE("statistics of the channels of images and what is normalised by them, with gradients, are one series") {
        for (const Shape& shape : many_channels) {
            CAPTURE(to_string(shape));
            FusionPlan plan = plan_of(scattered(shape), normalized);
            REQUIRE(plan.series.size() == 1);
            CHECK(plan.series[0].cut.into == Cut::Into::channels);
            CHECK(plan.series[0].cut.count == shape[1]);
            CHECK(plan.series[0].cut.pixels * shape[0] * shape[1] == element_count(shape));
            CHECK(groups_in_series(plan) >= 3);
            for (const PlanUnit& unit : plan.units)
                if (unit.group >= 0 && !plan.groups[static_cast<std::size_t>(unit.group)].folds.empty())
                    CHECK(unit.series == 0);
        }
    }

    TEST_CASE("a series of channels has the bits that its groups have one by one, for any number of threads") {
        for (const Shape& shape : many_channels)
            for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                CAPTURE(to_string(shape));
                Tensor x = scattered(shape).as(dtype);
                auto stages = [](Var x) {
                    std::vector<Var> statistics = statistics_of(x), all = normalized(x); // recorded once
                    CHECK(planned(statistics).series.empty());
                    evaluate(statistics, Keep::all);
                    CHECK(planned({all[0]}).series.empty());
                    evaluate(std::vector{all[0]}, Keep::all);
                    return all;
                };
                std::vector<Tensor> expected = values_on(1, x, stages, Keep::all);
                for (Keep kept : {Keep::all, Keep::requested})
                    for (int threads : {1, 2, 3, 5}) {
                        CAPTURE(threads);
                        std::vector<Tensor> values = values_on(threads, x, normalized, kept);
                        for (std::size_t i = 0; i < values.size(); ++i) CHECK(same_bits(values[i], expected[i]));
                    }
                std::vector<Tensor> plain = values_on(1, x, normalized, Keep::all, Evaluator::plain);
                for (std::size_t i = 0; i < plain.size(); ++i) // some thousand terms in double, in another order
                    CHECK(distance(expected[i], elements_of(plain[i])) <= (dtype == Dtype::float32 ? 1e-5 : 1e-12));
            }
    }

    TEST_CASE("channels folded on their own have exact statistics, with the same bits on any number of threads") {
        auto statistics = [](Var x) {
            Shape axes = axes_of(x.shape());
            return std::vector<Var>{sum(x, axes), mean(x, axes), variance(x, axes), max(x, axes)};
        };
        for (const Shape& shape : many_channels) {
            CAPTURE(to_string(shape));
            Tensor x = scattered<double>(shape);
            std::vector<Tensor> values = values_on(1, x, statistics, Keep::all);
            for (int threads : {2, 3, 4, 20}) {
                std::vector<Tensor> others = values_on(threads, x, statistics, Keep::all);
                for (std::size_t i = 0; i < values.size(); ++i) CHECK(same_bits(others[i], values[i]));
            }
            std::int64_t pixels = element_count(shape) / (shape[0] * shape[1]), count = shape[0] * pixels;
            for (std::int64_t channel = 0; channel < shape[1]; ++channel) {
                long double total = 0, squares = 0;
                double largest = -INFINITY;
                auto element = [&](std::int64_t i) {
                    return x.at((i / pixels * shape[1] + channel) * pixels + i % pixels);
                };
                for (std::int64_t i = 0; i < count; ++i) total += element(i);
                for (std::int64_t i = 0; i < count; ++i) {
                    long double apart = element(i) - total / count;
                    squares += apart * apart;
                    largest = std::max(largest, element(i));
                }
                double rounding = 1e-13; // of thousands of sums in double
                CHECK(std::abs(values[0].at(channel) - static_cast<double>(total)) <=
                      rounding * static_cast<double>(count));
                CHECK(std::abs(values[1].at(channel) - static_cast<double>(total / count)) <= rounding);
                CHECK(std::abs(values[2].at(channel) - static_cast<double>(squares / count)) <= rounding);
                CHECK(values[3].at(channel) == largest);
            }
        }
    }

    TEST_CASE("few channels, and channels of few pixels, are folded as before") {
        for (const Shape& shape : {Shape{64, 3, 40, 40}, {2000, 16, 2}, {8, 8, 16, 16}}) {
            CAPTURE(to_string(shape));
            CHECK(plan_of(scattered(shape), normalized).series.empty());
            std::vector<Tensor> expected = values_on(1, scattered(shape), normalized, Keep::all);
            for (int threads : {2, 3}) {
                std::vector<Tensor> values = values_on(threads, scattered(shape), normalized, Keep::requested);
                for (std::size_t i = 0; i < values.size(); ++i) CHECK(same_bits(values[i], expected[i]));
            }
        }
    }

    TEST_CASE("rows within a channel join its series with their rowwise ops") {
        auto record = [](Var x) { return std::vector<Var>{softmax(x - mean(x, {0, 2, 3}, keep), 3)}; };
        Tensor x = scattered({32, 16, 12, 24});
        FusionPlan plan = plan_of(x, record);
        REQUIRE(plan.series.size() == 1);
        CHECK(groups_in_series(plan) == 2);
        std::vector<Tensor> plain = values_on(1, x, record, Keep::all, Evaluator::plain);
        for (int threads : {1, 3}) // means of 9,216 in another order, rounded to float32
            CHECK(distance(values_on(threads, x, record, Keep::requested)[0], elements_of(plain[0])) <= 1e-7);
    }

    TEST_CASE("what needs values of other channels is computed after all channels") {
        using Record = Var (*)(Var x, Var centred);
        for (Record recorded : {
                 +[](Var, Var centred) { return centred - mean(centred, {1}, keep); },
                 +[](Var x, Var centred) { return x - slice(centred, 1, 3, 4); },
                 +[](Var x, Var centred) { return x + permute(centred, {1, 0, 2, 3}); },
                 +[](Var x, Var centred) { return x * sum(square(centred), {0, 1}, keep); },
                 +[](Var x, Var centred) { return x + reshape(mean(square(centred), {0, 2, 3}), {16, 1, 1, 1}); },
             }) {
            auto record = [&](Var x) { return std::vector<Var>{recorded(x, x - mean(x, {0, 2, 3}, keep))}; };
            Tensor x = scattered({16, 16, 12, 24});
            std::vector<Tensor> plain = values_on(1, x, record, Keep::all, Evaluator::plain);
            for (int threads : {1, 2, 3}) // 4,608 squares in another order, rounded to float32
                CHECK(distance(values_on(threads, x, record, Keep::requested)[0], elements_of(plain[0])) <= 1e-4);
        }
    }

    TEST_CASE("of windows, those read within parts are told from the others") {
        std::mt19937 random(1);
        auto draw = [&](std::int64_t least, std::int64_t most) {
            return std::uniform_int_distribution<std::int64_t>(least, most)(random);
        };
        std::size_t found = 0;
        for (int i = 0; i < 20000; ++i) {
            Cut cut{static_cast<Cut::Into>(draw(0, 2)), draw(2, 4), 1};
            if (cut.into == Cut::Into::channels) cut.pixels = draw(2, 6);
            Shape space;
            for (std::int64_t axis = draw(1, 4); axis > 0; --axis) space.push_back(draw(1, 4));
            GroupLoad load{.node = 0, .in_place = false, .shape = space, .view = {0, dense_strides(space)}};
            for (std::int64_t change = draw(0, 2); change > 0; --change)
                load.view.strides[static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(space.size()) - 1))] =
                    draw(0, 8);
            load.view.offset = draw(0, 1) * draw(0, 8);
            std::vector<std::int64_t> positions{load.view.offset};
            for (std::size_t axis = 0; axis < space.size(); ++axis) {
                std::vector<std::int64_t> further;
                for (std::int64_t position : positions)
                    for (std::int64_t k = 0; k < space[axis]; ++k)
                        further.push_back(position + k * load.view.strides[axis]);
                positions = further;
            }
            std::int64_t size = (std::ranges::max(positions) / cut.count + draw(1, 4)) * cut.count;
            if (!reads_within_parts(load, size, space, cut)) continue;
            ++found;
            std::int64_t count = element_count(space);
            for (std::int64_t at = 0; at < count; ++at) {
                std::int64_t part = at / cut.inner(count) % cut.count;
                CHECK(positions[static_cast<std::size_t>(at)] / cut.inner(size) % cut.count == part);
            }
        }
        CHECK(found > 1000);
    }
}

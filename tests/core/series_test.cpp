#include <cotape/core/series_plan.hpp>

#include <cmath>
#include <functional>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/memory_plan.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/softmax.hpp>

#include "../nn/numbers.hpp"
#include "planned.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

constexpr TapeOptions fused{.evaluator = Evaluator::fused};
constexpr ReduceOptions keep{.keep_dims = true};

Tensor numbers(const Shape& shape, Dtype dtype = Dtype::float32) {
    return Tensor::make<float>(shape, [](std::span<float> elements) {
               for (std::size_t i = 0; i < elements.size(); ++i)
                   elements[i] = static_cast<float>(i * 7919 % 1009) / 500 - 1;
           }).as(dtype);
}

const Op widen{
    .name = "widen",
    .type = [](const Call& call) { return Type{call.shape(0), Dtype::float64}; },
    .kernel = [](const Call&, const Type&, std::span<const Tensor> inputs) { return inputs[0].as(Dtype::float64); },
};

bool fails = true;

/// What `x` is normalised to over some axes, and the gradient of a function of that.
std::vector<Var> normalized(Var x, const Shape& axes) {
    Var y = (x - mean(x, axes, keep)) * rsqrt(variance(x, axes, keep) + 0.1);
    return {y, gradient(y, x, tanh(x))};
}

/// The only series of a plan: how many of its groups go over as many elements as `x`.
std::size_t passes_over(Var x, const FusionPlan& plan) {
    std::size_t passes = 0;
    for (const PlanUnit& unit : plan.units) {
        if (unit.series < 0 || unit.group < 0) continue;
        const Group& group = plan.groups[static_cast<std::size_t>(unit.group)];
        passes += element_count(group.space.shape) == element_count(x.shape());
    }
    return passes;
}

/// The values of what `record` records, on so many threads.
std::vector<Tensor> values_on(int threads, const std::function<std::vector<Var>(Tape&)>& record, Keep kept) {
    omp_set_num_threads(threads);
    Tape tape(fused);
    std::vector<Var> vars = record(tape);
    evaluate(vars, kept);
    omp_set_num_threads(omp_get_num_procs());
    std::vector<Tensor> values;
    for (Var var : vars) values.push_back(var.value());
    return values;
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("statistics over rows and what is normalised by them, with gradients, are a series of columns") {
        for (Shape shape : {Shape{256, 1024}, Shape{60, 100}, Shape{3, 4, 5, 120}}) {
            CAPTURE(to_string(shape));
            Tape tape(fused);
            Var x = tape.variable(numbers(shape));
            Shape axes = shape.size() == 2 ? Shape{0} : Shape{0, 1, 2};
            FusionPlan plan = planned(normalized(x, axes));
            REQUIRE(plan.series.size() == 1);
            CHECK(plan.series[0].cut.into == Cut::Into::columns);
            CHECK(plan.series[0].cut.count == shape.back());
            CHECK(passes_over(x, plan) == 4);
        }
    }

    TEST_CASE("statistics of the last axes, or within each block, are a series of blocks") {
        for (auto [shape, axes, blocks] : {std::tuple{Shape{300, 512}, Shape{1}, 300},
                                           {Shape{28, 64, 512}, Shape{1}, 28},
                                           {Shape{6, 5, 8, 8}, Shape{2, 3}, 30}}) {
            CAPTURE(to_string(shape));
            Tape tape(fused);
            Var x = tape.variable(numbers(shape));
            FusionPlan plan = planned(normalized(x, axes));
            REQUIRE(plan.series.size() == 1);
            CHECK(plan.series[0].cut.into == Cut::Into::blocks);
            CHECK(plan.series[0].cut.count == blocks);
            CHECK(passes_over(x, plan) == 4);
        }
    }

    TEST_CASE("a long chain of groups is several series") {
        Tape tape(fused);
        Var x = tape.variable(numbers({300, 512})), y = x;
        for (int i = 0; i < 10; ++i) y = tanh(y - mean(y, {0}, keep));
        FusionPlan plan = planned({y});
        CHECK(plan.series.size() == 2);
        CHECK(passes_over(x, plan) == 11);
    }

    TEST_CASE("values of a series are seen under other shapes within it") {
        Tape tape(fused);
        Var x = tape.variable(numbers({28, 64, 512}));
        Var y = reshape((x - mean(x, {1}, keep)), {28 * 64, 512}) + tape.variable(numbers({512}));
        FusionPlan plan = planned({y});
        REQUIRE(plan.series.size() == 1);
        CHECK(groups_in_series(plan) == 3);
    }

    TEST_CASE("a group that needs other columns than its own, or another type, does not join") {
        using Record = Var (*)(Var x, Var mean);
        for (Record recorded : {
                 +[](Var x, Var mean) { return transpose(x) + transpose(mean); },
                 +[](Var x, Var mean) { return x + slice(mean, 1, 0, 1); },
                 +[](Var x, Var mean) { return x + sum(mean, {1}, keep); },
                 +[](Var x, Var mean) { return x + softmax(mean, 1); },
                 +[](Var x, Var mean) { return reshape(x, {300, 100}) - slice(mean, 1, 100, 200); },
                 +[](Var x, Var mean) { return record(widen, {x}) - record(widen, {mean}); },
                 +[](Var x, Var mean) { return x + matmul(x, transpose(mean)); },
             }) {
            Tape tape(fused);
            Var x = tape.variable(numbers({100, 300}));
            FusionPlan plan = planned({recorded(x, mean(x, {0}, keep))});
            CHECK(plan.series.empty());
        }
    }

    TEST_CASE("a series has the bits that its groups have one by one, for any number of threads") {
        for (auto [shape, axes] : {std::pair{Shape{256, 1024}, Shape{0}}, {Shape{64, 500}, Shape{0}},
                                   {Shape{2100, 513}, Shape{0}}, {Shape{500, 300}, Shape{1}},
                                   {Shape{28, 64, 512}, Shape{1}}})
            for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                CAPTURE(to_string(shape));
                auto stages = [&](Tape& tape) {
                    Var x = tape.variable(numbers(shape, dtype)), g = tape.variable(numbers(shape, dtype)) * x;
                    Var origin = mean(x, axes, keep), spread = variance(x, axes, keep);
                    Var factor = rsqrt(spread + 0.1), y = (x - origin) * factor;
                    Var shift = mean(g, axes, keep), slope = mean(g * y, axes, keep);
                    Shape row(shape.begin(), shape.end()), twice = row; // a value a row, and every second column
                    row.back() = 1;
                    twice.back() *= 2;
                    std::int64_t last = static_cast<std::int64_t>(shape.size()) - 1;
                    Var scale = tape.variable(numbers(row, dtype)), wide = tape.variable(numbers(twice, dtype));
                    Var slopes = (g * scale - shift - y * slope) * factor - slice(wide, last, 0, twice.back(), 2);
                    return std::vector<std::vector<Var>>{{origin, spread}, {shift, slope}, {y, slopes}};
                };
                auto together = [&](Tape& tape) {
                    std::vector<Var> all;
                    for (const std::vector<Var>& stage : stages(tape))
                        all.insert(all.end(), stage.begin(), stage.end());
                    return all;
                };
                auto one_by_one = [&](Tape& tape) {
                    std::vector<Var> all;
                    for (const std::vector<Var>& stage : stages(tape)) {
                        CHECK(planned(stage).series.empty());
                        evaluate(stage);
                        all.insert(all.end(), stage.begin(), stage.end());
                    }
                    return all;
                };
                std::vector<Tensor> expected = values_on(1, one_by_one, Keep::all);
                for (Keep kept : {Keep::all, Keep::requested})
                    for (int threads : {1, 2, 3}) {
                        CAPTURE(threads);
                        std::vector<Tensor> values = values_on(threads, together, kept);
                        for (std::size_t i = 0; i < values.size(); ++i) CHECK(same_bits(values[i], expected[i]));
                    }
            }
    }

    TEST_CASE("blocks that are no whole tiles have the same bits on any number of threads") {
        for (const Shape& shape : {Shape{60, 16, 40}, {101, 7, 33}, {300, 64, 2}, {20, 64, 39}})
            for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                CAPTURE(to_string(shape));
                auto record = [&](Tape& tape) {
                    Var x = tape.variable(numbers(shape, dtype)), a = tape.variable(numbers({shape[1], 1}, dtype));
                    Var y = tanh(x * a); // what is stretched makes tiles of few rows
                    Var z = (y - mean(y, {1, 2}, keep)) * rsqrt(variance(y, {1, 2}, keep) + 0.1);
                    return std::vector<Var>{z, gradient(sum(z * x), a)};
                };
                std::vector<Tensor> expected = values_on(1, record, Keep::requested);
                for (int threads : {2, 3, 4}) {
                    CAPTURE(threads);
                    std::vector<Tensor> values = values_on(threads, record, Keep::requested);
                    for (std::size_t i = 0; i < values.size(); ++i) CHECK(same_bits(values[i], expected[i]));
                }
            }
    }

    TEST_CASE("sums over all blocks are joined after a series, in one order, and what needs them comes after it") {
        const Shape shape{28, 64, 512};
        for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
            auto record = [&](Tape& tape) {
                Var x = tape.variable(numbers(shape, dtype)), scale = tape.variable(numbers({512}, dtype));
                Var y = (x - mean(x, {1}, keep)) * (scale * rsqrt(variance(x, {1}, keep) + 0.1)) + tanh(scale);
                std::vector<Var> slopes = gradients(y, {x, scale}, tanh(x));
                return std::vector<Var>{slopes[0], slopes[1], slopes[1] - mean(y, {0, 1})};
            };
            Tape tape(fused);
            std::vector<Var> vars = record(tape);
            FusionPlan plan = planned(vars);
            REQUIRE(plan.series.size() == 1);
            CHECK(passes_over(vars[0], plan) >= 3);
            std::vector<Tensor> expected = values_on(1, record, Keep::requested);
            for (int threads : {2, 3, 4, 5}) {
                CAPTURE(threads);
                std::vector<Tensor> values = values_on(threads, record, Keep::requested);
                for (std::size_t i = 0; i < values.size(); ++i) CHECK(same_bits(values[i], expected[i]));
            }
            Tape plain({.evaluator = Evaluator::plain});
            std::vector<Var> reference = record(plain);
            for (std::size_t i = 0; i < expected.size(); ++i) // sums of 1,792 in double, in another order
                CHECK(distance(expected[i], elements_of(reference[i].value())) <=
                      (dtype == Dtype::float32 ? 1e-4 : 1e-11));
        }
    }

    TEST_CASE("blocks that are parts of a row do not take in what is folded by rows") {
        auto record = [](Tape& tape) {
            Var x = tape.variable(numbers({1280, 3, 16}, Dtype::float64)), of_row = mean(square(x), {2}, keep);
            Var spread = variance(of_row, {0}), origin = mean(of_row, {0});
            return std::vector<Var>{exp(x - of_row), spread, origin};
        };
        Tape tape(fused), plain({.evaluator = Evaluator::plain});
        std::vector<Var> values = record(tape), expected = record(plain);
        evaluate(values);
        for (std::size_t i = 0; i < values.size(); ++i)
            CHECK(distance(values[i].value(), elements_of(expected[i].value())) <= 1e-14);
    }

    TEST_CASE("what dies within a series is written over, and counted so") {
        auto record = [](Tape& tape) {
            Var x = tape.variable(numbers({256, 512})), both = concatenate({x, tanh(x)}, 0);
            Var centred = both - mean(both, {0}, keep);
            return std::vector<Var>{tanh(centred) * rsqrt(mean(tanh(centred), {0}, keep) + 2)};
        };
        Tape tape(fused);
        std::vector<Var> results = record(tape);
        REQUIRE(passes_over(results[0], planned(results)) == 3);
        evaluate(results, Keep::requested);
        std::size_t in_place = 0;
        for (const MemoryPlan::Step& step : tape.memory_plan().steps) in_place += step.in_place;
        CHECK(in_place >= results[0].value().bytes());
        CHECK(same_bits(results[0].value(), values_on(3, record, Keep::all)[0]));
    }

    TEST_CASE("what a series reads across its parts is not written over before all of them have run") {
        auto record = [](Tape& tape) {
            Var x = tape.variable(numbers({256, 512})), both = concatenate({x, tanh(x)}, 0);
            Var other = concatenate({tanh(x), x}, 0), total = sum(other + transpose(both), {0}, keep);
            return std::vector<Var>{tanh(other - total) * both};
        };
        Tape tape(fused);
        REQUIRE(planned(record(tape)).series.size() == 1);
        std::vector<Tensor> expected = values_on(1, record, Keep::all);
        for (int threads : {1, 2, 3}) CHECK(same_bits(values_on(threads, record, Keep::requested)[0], expected[0]));
    }

    TEST_CASE("where a kernel throws in a series, nothing of it stays, on any thread") {
        const Op failing = elementwise(
            "failing",
            [](auto x) {
                if (fails && x > 0.9) throw std::runtime_error("it fails");
                return x;
            },
            no_derivative);
        for (int threads : {1, 3}) {
            omp_set_num_threads(threads);
            fails = true;
            Tape tape(fused);
            Var x = tape.variable(numbers({300, 1200})), centred = x - mean(x, {0}, keep);
            std::vector<Var> results{centred, record(failing, {centred}) * mean(centred, {0}, keep)};
            REQUIRE(planned(results).series.size() == 1);
            CHECK_THROWS_WITH_AS(evaluate(results, Keep::requested), "it fails", std::runtime_error);
            for (Var result : results) CHECK(tape.computed(result.id()).empty());
            fails = false;
            evaluate(results, Keep::requested);
            CHECK(results[0].value().at(0) != 0);
        }
        omp_set_num_threads(omp_get_num_procs());
    }
}

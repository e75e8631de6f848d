#include <cotape/ops/batch_statistics.hpp>

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

using namespace cotape;

namespace {

/// NIST StRD, NumAcc2 to 4: 0.2 followed by 500 pairs (0.1, 0.3), all above `base`.
std::vector<double> num_acc(double base) {
    std::vector<double> data{base + 0.2};
    for (int i = 0; i < 500; ++i) {
        data.push_back(base + 0.1);
        data.push_back(base + 0.3);
    }
    return data;
}

Tensor column(const std::vector<double>& data) { return Tensor::of({static_cast<std::int64_t>(data.size()), 1}, data); }

struct BatchNorm {
    Var normalized, y;

    BatchNorm(Var x, Var scale, Var shift, double epsilon)
        : normalized((x - batch_mean(x)) * rsqrt(batch_variance(x) + epsilon)), y(scale * normalized + shift) {}
};

Tensor scattered(const Shape& shape, double phase) {
    return Tensor::make<double>(shape, [&](std::span<double> elements) {
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(12.9898 * double(i + 1) + phase);
    });
}

double largest(Var var) {
    Tensor value = var.value();
    double result = 0;
    for (std::int64_t i = 0; i < value.size(); ++i) result = std::fmax(result, std::fabs(value.at(i)));
    return result;
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("batch_variance of NIST's data has twelve correct digits in float64") {
        struct {
            std::vector<double> data;
            double variance, error;
        } sets[] = {
            {{10000001, 10000003, 10000002}, 2.0 / 3, 1e-12},
            {num_acc(1), 0.009990009990009985, 1e-12},
            {num_acc(1e6), 0.00999000999698793, 1e-12},
            {num_acc(1e7), 0.009990010101657051, 3.2e-12}, // 11.5 digits
        };
        for (const auto& set : sets) {
            Tape tape;
            Var x = tape.constant(column(set.data));
            CHECK(std::fabs(batch_variance(x).item() - set.variance) <= set.error * set.variance);
            CHECK(std::fabs(variance(x).item() - set.variance) <= set.error * set.variance);
        }
    }

    TEST_CASE("batch_mean and batch_variance of NIST's data are right to rounding in float32") {
        struct {
            std::vector<double> data;
            double mean, variance;
        } sets[] = {
            {{10000001, 10000003, 10000002}, 10000002, 2.0 / 3},
            {num_acc(1), 1.199999988138616, 0.00999000284459931},
            {num_acc(1e6), 1000000.2187187813, 0.008781256830083004},
            {num_acc(1e7), 10000000, 0},
        };
        for (const auto& set : sets) {
            Tape tape;
            Var x = tape.constant(column(set.data).as(Dtype::float32));
            float mean = static_cast<float>(set.mean);
            double ulp = std::nextafter(mean, std::numeric_limits<float>::infinity()) - mean;
            CHECK(batch_mean(x).item() == mean);
            CHECK(std::fabs(batch_variance(x).item() - set.variance) <= 1e-6 * (set.variance + ulp * ulp));
        }
    }

    TEST_CASE("batch norm normalises with the population variance") {
        Tape tape;
        Var x = tape.constant(Tensor::make<double>({4, 3, 4}, [](std::span<double> elements) {
            for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = double(i / 12 + i % 4 + 1);
        }));
        CHECK(batch_mean(x).value().at(2) == 4);
        CHECK(batch_variance(x).value().at(2) == 2.5);
        Tensor y = ((x - batch_mean(x)) * rsqrt(batch_variance(x) + 1e-5)).value();
        double row[] = {-1.8974, -1.2649, -0.6325, 0};
        for (std::int64_t i = 0; i < 4; ++i) CHECK(std::fabs(y.at(i) - row[i]) < 5e-5);
    }

    TEST_CASE("the gradients of batch norm keep its identities") {
        for (Shape shape : {Shape{8, 3}, Shape{4, 3, 5}}) {
            Tape tape;
            Shape channels(shape.size(), 1), axes{0};
            channels[1] = 3;
            if (shape.size() == 3) axes.push_back(2);
            Var x = tape.variable(scattered(shape, 0)), dy = tape.constant(scattered(shape, 1));
            Var scale = tape.variable(scattered(channels, 2)), shift = tape.variable(scattered(channels, 3));
            BatchNorm norm(x, scale, shift, 0);
            std::vector<Var> slopes = gradients(norm.y, {x, scale, shift}, dy);
            auto per_channel = [&](Var values) { return sum(values, axes, {.keep_dims = true}); };
            // Sums of at most twenty terms of size one.
            CHECK(largest(per_channel(slopes[0])) < 1e-13);
            CHECK(largest(per_channel(slopes[0] * norm.normalized)) < 1e-12);
            CHECK(largest(slopes[1] - per_channel(dy * norm.normalized)) < 1e-13);
            CHECK(largest(slopes[2] - per_channel(dy)) < 1e-13);
            CHECK(largest(gradient(sum(norm.y), x)) < 1e-13);
            BatchNorm moved(3 * x + 7, scale, shift, 0);
            CHECK(largest(moved.y - norm.y) < 1e-12);
        }
    }

    TEST_CASE("a constant channel gives exactly beta and a finite gradient, whatever the constant") {
        for (Dtype dtype : {Dtype::float32, Dtype::float64})
            for (std::int64_t count : {2, 3, 7, 10, 1001})
                for (double constant : {0.0, 0.1, 1.0 / 3, -1e7 / 3, 1e30}) {
                    CAPTURE(count);
                    CAPTURE(constant);
                    Tape tape;
                    Var x = tape.variable(Tensor::full({count, 2}, constant, dtype));
                    Var scale = tape.constant(Tensor::full({1, 2}, 1.5, dtype));
                    Var shift = tape.constant(Tensor::full({1, 2}, 0.3, dtype));
                    BatchNorm norm(x, scale, shift, 1e-5);
                    CHECK(largest(batch_variance(x)) == 0);
                    CHECK(largest(norm.y - shift) == 0);
                    Var slope = gradient(norm.y, x, tape.constant(scattered({count, 2}, 1).as(dtype)));
                    CHECK(std::isfinite(largest(slope)));
                }
    }

    TEST_CASE("a huge mean with a tiny variance gives neither a negative variance nor NaN") {
        Tape tape;
        for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
            double base = 1e8, step = dtype == Dtype::float32 ? 8 : 0x1p-25; // one and two units in the last place
            Var x = tape.variable(Tensor::of<double>({4, 1}, {base, base + step, base, base + step}).as(dtype));
            CHECK(batch_variance(x).item() == step * step / 4);
            Var y = (x - batch_mean(x)) * rsqrt(batch_variance(x) + 1e-30);
            CHECK(std::isfinite(largest(y)));
            CHECK(std::isfinite(largest(gradient(sum(y * x), x))));
        }
    }

    TEST_CASE("float32 values about 1e30 do not overflow on the way to statistics that float32 can hold") {
        Tape tape;
        auto of = [&](double a, double b) {
            return tape.variable(Tensor::of<double>({2, 1}, {a, b}).as(Dtype::float32));
        };
        CHECK(batch_mean(of(3e38, 3e38)).item() == static_cast<float>(3e38));
        CHECK(batch_mean(of(1e30, 3e30)).item() == doctest::Approx(2e30).epsilon(1e-7));
        CHECK(batch_variance(of(1e18, 3e18)).item() == doctest::Approx(1e36).epsilon(1e-6));
        CHECK(batch_variance(of(1e30, 1e30)).item() == 0);
        // A variance of 1e60 is not a float32: infinite, and the normalised values are 0, not NaN.
        Var x = of(1e30, 3e30);
        CHECK(batch_variance(x).item() == std::numeric_limits<double>::infinity());
        Var y = (x - batch_mean(x)) * rsqrt(batch_variance(x) + 1e-5);
        CHECK(largest(y) == 0);
        CHECK(batch_variance(tape.constant(Tensor::of<double>({2, 1}, {1e30, 3e30}))).item() ==
              doctest::Approx(1e60).epsilon(1e-15));
    }

    TEST_CASE("a variance beyond float64 is infinite with either evaluator, and that of an infinite element NaN") {
        constexpr double infinity = std::numeric_limits<double>::infinity();
        for (Evaluator evaluator : {Evaluator::plain, Evaluator::fused})
            for (std::size_t length : {4, 100'000}) { // one fold, and parts that are joined
                Tape tape({.evaluator = evaluator});
                auto variances = [&](const std::vector<double>& data) {
                    Var x = tape.constant(column(data)) * 1.5, row = reshape(x, {1, -1});
                    return std::vector<Var>{batch_variance(x), variance(x), variance(row, {1})};
                };
                for (std::size_t position : {std::size_t(0), std::size_t(1), length - 1}) {
                    CAPTURE(position);
                    std::vector<double> data(length, 1);
                    data[position] = 1e300;
                    for (Var found : variances(data)) CHECK(found.item() == infinity);
                    data[position] = infinity;
                    for (Var found : variances(data)) CHECK(std::isnan(found.item()));
                }
            }
    }
}

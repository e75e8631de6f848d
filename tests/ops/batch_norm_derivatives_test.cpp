#include <array>
#include <cmath>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

/// A truncated Taylor series in one variable, in extended precision: derivatives by another road than Cotape's.
struct Jet {
    static constexpr std::size_t terms = 6;
    std::array<long double, terms> c{};

    Jet(long double constant = 0, long double slope = 0) : c{constant, slope} {}
    friend Jet operator+(Jet a, const Jet& b) {
        for (std::size_t i = 0; i < terms; ++i) a.c[i] += b.c[i];
        return a;
    }
    friend Jet operator-(Jet a, const Jet& b) {
        for (std::size_t i = 0; i < terms; ++i) a.c[i] -= b.c[i];
        return a;
    }
    friend Jet operator*(const Jet& a, const Jet& b) {
        Jet product;
        for (std::size_t i = 0; i < terms; ++i)
            for (std::size_t j = 0; i + j < terms; ++j) product.c[i + j] += a.c[i] * b.c[j];
        return product;
    }
    /// The derivative of order n at 0.
    double derivative(std::size_t n) const { return static_cast<double>(std::tgamma(n + 1.0L) * c[n]); }
};

/// v^(-1/2), term by term from v r' = -r v' / 2.
Jet inverse_root(const Jet& v) {
    Jet r(1 / std::sqrt(v.c[0]));
    for (std::size_t n = 1; n < Jet::terms; ++n) {
        long double sum = 0;
        for (std::size_t k = 1; k <= n; ++k)
            sum += (0.5L * static_cast<long double>(k) - static_cast<long double>(n)) * v.c[k] * r.c[n - k];
        r.c[n] = sum / (static_cast<long double>(n) * v.c[0]);
    }
    return r;
}

/// A batch norm of [N, C, L], its inputs, and the direction they move in.
struct Case {
    std::int64_t n, channels, length;
    double epsilon;
    std::vector<double> x, scale, shift, x_direction, scale_direction, shift_direction, weights;

    Case(std::int64_t n, std::int64_t channels, std::int64_t length, double epsilon, double phase)
        : n(n), channels(channels), length(length), epsilon(epsilon) {
        auto draw = [&](std::vector<double>& values, std::int64_t count) {
            for (std::int64_t i = 0; i < count; ++i) values.push_back(std::sin(78.233 * double(i + 1) + phase));
            phase += 1;
        };
        for (auto* values : {&x, &x_direction, &weights}) draw(*values, n * channels * length);
        for (auto* values : {&scale, &shift, &scale_direction, &shift_direction}) draw(*values, channels);
    }

    /// The series of sum(weights * y) as all inputs move, from the formula as the paper has it.
    Jet series() const {
        Jet total;
        for (std::int64_t channel = 0; channel < channels; ++channel) {
            std::vector<Jet> values, factors;
            for (std::int64_t i = 0; i < n * channels * length; ++i) {
                auto at = static_cast<std::size_t>(i);
                if (i / length % channels != channel) continue;
                values.emplace_back(x[at], x_direction[at]);
                factors.emplace_back(weights[at]);
            }
            auto at = static_cast<std::size_t>(channel);
            Jet mean, variance, share(1 / static_cast<long double>(values.size()));
            for (const Jet& value : values) mean = mean + share * value;
            for (const Jet& value : values) variance = variance + share * (value - mean) * (value - mean);
            Jet inverse = inverse_root(variance + Jet(epsilon)), gamma(scale[at], scale_direction[at]);
            for (std::size_t i = 0; i < values.size(); ++i)
                total = total + factors[i] * (gamma * (values[i] - mean) * inverse +
                                              Jet(shift[at], shift_direction[at]));
        }
        return total;
    }

    /// The same sum, recorded, with all inputs moved by the scalar t.
    Var recorded(Var t) const {
        auto line = [&](const Shape& shape, const std::vector<double>& from, const std::vector<double>& direction) {
            return t.tape().constant(Tensor::of(shape, from)) + t * t.tape().constant(Tensor::of(shape, direction));
        };
        Shape of_x{n, channels, length}, of_channels{1, channels, 1};
        Var moving = line(of_x, x, x_direction);
        Var y = line(of_channels, scale, scale_direction) * (moving - batch_mean(moving)) *
                    rsqrt(batch_variance(moving) + epsilon) +
                line(of_channels, shift, shift_direction);
        return sum(y * t.tape().constant(Tensor::of(of_x, weights)));
    }
};

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("batch norm has the derivatives of its Taylor series, of orders one to five, in every mode") {
        for (const Case& batch : {Case(5, 2, 1, 1e-5, 0), Case(2, 3, 2, 0.25, 1), Case(3, 2, 4, 1e-3, 2),
                                  Case(2, 1, 1, 0.1, 3)}) {
            Jet expected = batch.series();
            Tape tape;
            Var t = tape.variable(Tensor(0.0)), one = tape.full({}, 1, Dtype::float64);
            CHECK(batch.recorded(t).item() == doctest::Approx(expected.derivative(0)).epsilon(1e-13));
            Var reverse = batch.recorded(t), forward = reverse;
            for (std::size_t order = 1; order < Jet::terms; ++order) {
                CAPTURE(order);
                // Jvp of the gradient, before both go on in their own mode.
                Var mixed = jvp(reverse, t, one);
                reverse = gradient(reverse, t);
                forward = jvp(forward, t, one);
                // Double precision against extended: a few hundred roundings at order three, which grow with the order.
                double wanted = expected.derivative(order),
                       bound = (order <= 3 ? 1e-12 : 1e-10) * std::fmax(1, std::fabs(wanted));
                CHECK(std::fabs(reverse.item() - wanted) <= bound);
                CHECK(std::fabs(forward.item() - wanted) <= bound);
                CHECK(std::fabs(mixed.item() - wanted) <= bound);
            }
        }
    }

    TEST_CASE("the second derivative of batch norm in training mode is the published one, in every mode") {
        // pytorch#196699: nested jvp there gives -2.1324.
        constexpr double expected = -0.20703015646993195;
        Tape tape;
        std::vector<double> linear, quadratic, constant, weights;
        for (int i = 0; i < 8; ++i) {
            linear.push_back(i + 1);
            quadratic.push_back(i % 3 - 1);
            constant.push_back(i);
            weights.push_back(i + 1);
        }
        Shape shape{2, 2, 2};
        Var t = tape.variable(Tensor(-6.0)), one = tape.full({}, 1, Dtype::float64);
        Var x = tape.constant(Tensor::of(shape, linear)) * t + tape.constant(Tensor::of(shape, quadratic)) * t * t +
                tape.constant(Tensor::of(shape, constant));
        Var gamma = tape.constant(Tensor::of<double>({1, 2, 1}, {1.5, -0.5}));
        Var beta = tape.constant(Tensor::of<double>({1, 2, 1}, {0.25, 1}));
        Var y = gamma * (x - batch_mean(x)) * rsqrt(batch_variance(x) + 0.25) + beta;
        Var f = sum(tape.constant(Tensor::of(shape, weights)) * y);
        for (Var second : {gradient(gradient(f, t), t), jvp(jvp(f, t, one), t, one), jvp(gradient(f, t), t, one),
                           gradient(jvp(f, t, one), t)})
            CHECK(std::fabs(second.item() - expected) <= 1e-13);
    }

    TEST_CASE("layer norm has the derivatives of its closed form, of orders one to five") {
        // That of pytorch#196700 sums to -t / sqrt(1 + t^2), whose derivatives are odd multiples of powers of 1 + t^2.
        Tape tape;
        Var t = tape.variable(Tensor(0.7)), one = tape.full({}, 1, Dtype::float64);
        Var x = t * tape.constant(Tensor::of<double>({2}, {1, 0}));
        Var reverse = sum(tape.constant(Tensor::of<double>({2}, {1, 2})) * (x - mean(x)) * rsqrt(variance(x) + 0.25));
        Var forward = reverse, closed = -t * rsqrt(1 + t * t);
        for (int order = 0; order <= 5; ++order) {
            CAPTURE(order);
            CHECK(reverse.item() == doctest::Approx(closed.item()).epsilon(1e-12));
            CHECK(forward.item() == doctest::Approx(closed.item()).epsilon(1e-12));
            reverse = gradient(reverse, t);
            forward = jvp(forward, t, one);
            closed = gradient(closed, t);
        }
        double s = 1 + 0.49, third = 3 * std::pow(s, -2.5) - 15 * 0.49 * std::pow(s, -3.5);
        Var f = -t * rsqrt(1 + t * t);
        CHECK(gradient(gradient(gradient(f, t), t), t).item() == doctest::Approx(third).epsilon(1e-14));
    }

    TEST_CASE("the second derivative of layer norm is the published one, in every mode") {
        // pytorch#196700.
        constexpr double expected = 0.7749142079590942;
        Tape tape;
        Var t = tape.variable(Tensor(0.7)), one = tape.full({}, 1, Dtype::float64);
        Var x = t * tape.constant(Tensor::of<double>({2}, {1, 0}));
        Var y = tape.constant(Tensor::of<double>({2}, {1, 2})) * (x - mean(x)) * rsqrt(variance(x) + 0.25);
        Var f = sum(y);
        for (Var second : {gradient(gradient(f, t), t), jvp(jvp(f, t, one), t, one), jvp(gradient(f, t), t, one),
                           gradient(jvp(f, t, one), t)})
            CHECK(std::fabs(second.item() - expected) <= 1e-14);
    }
}

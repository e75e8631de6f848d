#include <cmath>
#include <functional>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/cholesky.hpp>
#include <cotape/ops/determinant.hpp>
#include <cotape/ops/jacobian.hpp>
#include <cotape/ops/linear_systems.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/scans.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/triangular.hpp>

// Derivatives that PyTorch gave wrong, collected in pytorch#198017, with the values of the reports. (Batch norm and
// layer norm: batch_norm_derivatives_test.cpp.)

using namespace cotape;

namespace {

using Curve = std::function<Var(Var t)>;

/// The derivative of the given order, by nested jvp, by nested gradients and by both mixtures, against the true one.
void check_derivative(double at, int order, double expected, const Curve& curve) {
    for (int modes = 0; modes < 1 << order; ++modes) {
        CAPTURE(modes);
        Tape tape;
        Var t = tape.variable(Tensor(at)), one = tape.full({}, 1, Dtype::float64), f = curve(t);
        for (int k = 0; k < order; ++k) f = modes >> k & 1 ? jvp(f, t, one) : gradient(f, t);
        CHECK(f.item() == doctest::Approx(expected).epsilon(1e-12));
    }
}

/// A tensor of numbers and of functions of t.
struct Entry {
    Entry(Var var) : var(var) {}
    Entry(double number) : number(number) {}
    Var var;
    double number = 0;
};

Var tensor(Var t, const Shape& shape, const std::vector<Entry>& entries) {
    std::vector<Operand> elements;
    for (const Entry& entry : entries)
        elements.emplace_back(entry.var ? entry.var : t.tape().full({}, entry.number, Dtype::float64));
    return reshape(stack(elements), shape);
}

Var weighted(Var y, const std::vector<double>& weights) {
    return sum(y * y.tape().constant(Tensor::of(y.shape(), weights)));
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("cumprod with a zero factor (pytorch#196701)") {
        check_derivative(1, 2, 144, [](Var t) {
            return weighted(cumprod(tensor(t, {2, 3}, {t, t + 1, 2 - t, t - 1, 2 * t + 1, t + 3}), -1),
                            {1, 2, 3, 4, 5, 6});
        });
        // t (t - 1)^2 (t - 1): the third derivative at the triple zero.
        check_derivative(1, 3, 6, [](Var t) { return prod(tensor(t, {4}, {t, t - 1, t - 1, t - 1})); });
    }

    TEST_CASE("cholesky_solve through the factor (pytorch#196694)") {
        check_derivative(-7, 1, -11.0 / 3, [](Var t) {
            Var l = tensor(t, {2, 2, 2}, {2, 0, t, 3, 3, 0, 2 * t + 1, 2});
            Var b = t.tape().constant(Tensor::of<double>({2, 2}, {1, 2, -1, 3}));
            return weighted(cholesky_solve(b, l), {1, 2, 3, 4, 2, -1, 4, 3});
        });
    }

    TEST_CASE("the inverse from a Cholesky factor (pytorch#196682)") {
        auto curve = [](Var t) {
            return sum(cholesky_solve(tensor(t, {2, 2}, {1, 0, 0, 1}), tensor(t, {2, 2}, {t + 1, 0, 1, 2})));
        };
        check_derivative(0.7, 1, -0.3358436800325667, curve);
        double a = 1.7; // the sum is 5 / (4 a^2) - 1 / (2 a) + 1 / 4
        check_derivative(0.7, 2, 7.5 / std::pow(a, 4) - 1 / std::pow(a, 3), curve);
    }

    TEST_CASE("solve from the right (pytorch#196695)") {
        check_derivative(-0.5, 2, 3.0435555555555553, [](Var t) {
            Var a = tensor(t, {2, 2}, {t + 2, 1, 0, t + 3}), b = tensor(t, {2, 2}, {t, 2 * t + 1, t + 1, 3 - t});
            return weighted(solve(a, b, {.left = false}), {1, 2, -1, 3});
        });
    }

    TEST_CASE("det (pytorch#196696, #192540, #192521, #104675, #80761)") {
        check_derivative(0.7, 2, 4, [](Var t) { return det(tensor(t, {2, 2}, {t + 2, 1, 1, 2 * t + 3})); });
        Tape tape;
        Var a = tape.variable(Tensor::of<double>({2, 2}, {1.3, 0.4, -0.7, 0.9}));
        for (JacobianMode inner : {JacobianMode::forward, JacobianMode::reverse})
            for (JacobianMode outer : {JacobianMode::forward, JacobianMode::reverse}) {
                Tensor h = jacobian(jacobian(det(a), a, {.mode = inner}), a, {.mode = outer}).value();
                for (std::int64_t i = 0; i < 16; ++i) {
                    double wanted = i == 3 || i == 12 ? 1 : i == 6 || i == 9 ? -1 : 0;
                    CHECK(std::fabs(h.at(i) - wanted) <= 1e-14);
                }
            }
        for (std::vector<double> values : {std::vector<double>{1, 1, 1}, {1, 2, 3}, {0, 0, 1}}) {
            Var diagonal =
                tape.variable(Tensor::of<double>({3, 3}, {values[0], 0, 0, 0, values[1], 0, 0, 0, values[2]}));
            Tensor h = hessian(det(diagonal), diagonal).value();
            auto at = [&](int i, int j, int k, int l) { return h.at(((i * 3 + j) * 3 + k) * 3 + l); };
            for (int i = 0; i < 3; ++i)
                for (int k = 0; k < 3; ++k) {
                    double rest = i == k ? 0 : values[static_cast<std::size_t>(3 - i - k)];
                    CHECK(std::fabs(at(i, i, k, k) - rest) <= 1e-14);
                    if (i != k) CHECK(std::fabs(at(i, k, k, i) + rest) <= 1e-14);
                }
        }
        Var singular = tape.variable(Tensor::of<double>({2, 2}, {0, 1, 0, 1}));
        Tensor slopes = gradient(det(singular), singular).value();
        for (std::int64_t i = 0; i < 4; ++i)
            CHECK(std::fabs(slopes.at(i) - std::vector<double>{1, 0, -1, 0}[static_cast<std::size_t>(i)]) <= 1e-15);
        Var zero = tape.variable(Tensor::full({1, 1}, 0, Dtype::float64));
        CHECK(gradient(det(zero), zero).item() == 1);
    }

    TEST_CASE("slogdet (pytorch#196697)") {
        check_derivative(0.7, 2, -0.17853600476096013,
                         [](Var t) { return slogdet(tensor(t, {2, 2}, {t + 2, 1, 1, 3})).logabsdet; });
    }

    TEST_CASE("a product of Householder reflections (pytorch#196698)") {
        check_derivative(0.7, 2, 1.556251320682393, [](Var t) {
            Var v = tensor(t, {2, 1}, {1, t}), tau = 2 / (1 + t * t);
            Var reflection = tensor(t, {2, 2}, {1, 0, 0, 1}) - tau * matmul(v, v, {.transpose_b = true});
            return sum(slice(reflection, 1, 0, 1));
        });
    }

    TEST_CASE("solve_triangular with an ignored diagonal (pytorch#196707)") {
        check_derivative(-10, 1, 9.416666666666666, [](Var t) {
            Var a = tensor(t, {2, 2, 2}, {t + 2, t / 4, 0, 3 - t, 2 * t + 1, 1 - t / 3, 0, t + 4});
            Var b = t.tape().constant(Tensor::of<double>({2, 2, 2}, {1, 2, 3, -1, 2, -2, 1, 4}));
            return weighted(solve_triangular(a, b, {.upper = true, .unitriangular = true}), {1, 2, 3, 4, 5, 6, 7, 8});
        });
    }
}

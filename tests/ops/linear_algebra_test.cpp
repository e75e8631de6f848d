#include <cmath>
#include <limits>
#include <random>

#include <doctest/doctest.h>

#include <cotape/core/draws.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/cholesky.hpp>
#include <cotape/ops/determinant.hpp>
#include <cotape/ops/gradient_check.hpp>
#include <cotape/ops/jacobian.hpp>
#include <cotape/ops/linear_systems.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/triangular.hpp>

using namespace cotape;

namespace {

using Vars = std::vector<Var>;

Tensor random_matrix(const Shape& shape, unsigned seed) {
    std::mt19937 random(seed);
    return Tensor::make<double>(shape, [&](std::span<double> x) {
        for (double& element : x) element = draw_uniform(random, -1, 1);
    });
}

/// n by n, the product of n by rank and rank by n.
Tensor of_rank(std::int64_t n, std::int64_t rank, unsigned seed) {
    Tape tape;
    return matmul(tape.constant(random_matrix({n, rank}, seed)), tape.constant(random_matrix({rank, n}, seed + 1)))
        .value();
}

/// The determinant by the formula of Leibniz and Laplace, composed of products: no division, no factorisation.
Var expanded(Var a, std::int64_t n) {
    if (n == 1) return reshape(a, {});
    Var sum;
    for (std::int64_t column = 0; column < n; ++column) {
        Var rest = slice(a, 0, 1, n), minor = column == 0       ? slice(rest, 1, 1, n)
                                              : column == n - 1 ? slice(rest, 1, 0, n - 1)
                                                                : concatenate({slice(rest, 1, 0, column),
                                                                               slice(rest, 1, column + 1, n)}, 1);
        Var term = reshape(slice(slice(a, 0, 0, 1), 1, column, column + 1), {}) * expanded(minor, n - 1);
        sum = !sum ? term : column % 2 ? sum - term : sum + term;
    }
    return sum;
}

double largest(const Tensor& tensor) {
    double result = 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) result = std::fmax(result, std::fabs(tensor.at(i)));
    return result;
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("det has the derivatives of Laplace's expansion, of orders one to four, at every rank") {
        const std::int64_t n = 4;
        for (std::int64_t rank = 0; rank <= n; ++rank) {
            CAPTURE(rank);
            Tape tape;
            Var a = tape.variable(rank == 0 ? Tensor::full({n, n}, 0, Dtype::float64)
                                            : of_rank(n, rank, 7 * static_cast<unsigned>(rank)));
            Var f = det(a), expected = expanded(a, n);
            for (unsigned order = 1; order <= 4; ++order) {
                CAPTURE(order);
                Var slopes = gradient(f, a), wanted = gradient(expected, a);
                Tensor got = slopes.value(), want = wanted.value();
                // Sums of up to 4! products of numbers of size 1, by way of two orthogonal matrices.
                for (std::int64_t i = 0; i < got.size(); ++i) CHECK(std::fabs(got.at(i) - want.at(i)) <= 1e-13);
                Var along = tape.constant(random_matrix({n, n}, 100 + order));
                // Forward at even orders.
                f = order % 2 ? sum(slopes * along) : jvp(f, a, along);
                expected = sum(wanted * along);
                CHECK(std::fabs(f.item() - expected.item()) <= 1e-12);
            }
        }
    }

    TEST_CASE("det is as accurate next to a singular matrix as far from one") {
        for (double distance : {1e-3, 1e-8, 1e-13, 1e-17}) {
            CAPTURE(distance);
            Tape tape;
            Var a = tape.variable(Tensor::of<double>({2, 2}, {1, 1, 1, 1 + distance}));
            Tensor h = hessian(det(a), a).value(), g = gradient(det(a), a).value();
            CHECK(g.at(0) == doctest::Approx(1 + distance).epsilon(1e-14));
            CHECK(g.at(1) == doctest::Approx(-1).epsilon(1e-14));
            CHECK(h.at(3) == doctest::Approx(1).epsilon(1e-14));
            CHECK(h.at(6) == doctest::Approx(-1).epsilon(1e-14));
            CHECK(std::fabs(h.at(0)) + std::fabs(h.at(1)) <= 1e-15);
        }
    }

    TEST_CASE("the gradient of det is det times the transposed inverse where there is one, for larger matrices too") {
        Tape tape;
        Var a = tape.variable(random_matrix({40, 40}, 3));
        Tensor got = gradient(det(a), a).value(), wanted = (det(a) * transpose(inv(a))).value();
        for (std::int64_t i = 0; i < got.size(); ++i)
            CHECK(std::fabs(got.at(i) - wanted.at(i)) <= 1e-11 * largest(wanted));
    }

    TEST_CASE("slogdet stands determinants that overflow, and is 0 and -infinity for singular matrices") {
        Tape tape;
        Var large = tape.variable(Tensor::full({200, 200}, 0, Dtype::float64)) +
                    1e30 * tril(triu(tape.full({200, 200}, 1, Dtype::float64)));
        CHECK(slogdet(large).sign.item() == 1);
        CHECK(slogdet(large).logabsdet.item() == doctest::Approx(6000 * std::log(10.0)).epsilon(1e-14));
        CHECK(std::isinf(det(large).item()));
        Var singular = tape.variable(Tensor::of<double>({2, 2}, {1, 2, 2, 4}));
        CHECK(slogdet(singular).sign.item() == 0);
        CHECK(slogdet(singular).logabsdet.item() == -std::numeric_limits<double>::infinity());
        CHECK(det(singular).item() == 0);
        Var exchanged = tape.variable(Tensor::of<double>({2, 2}, {0, 0, 1, 1}));
        CHECK(slogdet(exchanged).sign.item() == 0);
        CHECK_FALSE(std::signbit(slogdet(exchanged).sign.item()));
        CHECK_THROWS_WITH_AS(gradient(slogdet(singular).logabsdet, singular).value(),
                             "inv: needs invertible matrices; pivot 1 of matrix 0 of [2, 2] is 0", ValueError);
    }

    TEST_CASE(
        "the derivatives of cholesky and cholesky_solve along symmetric directions are those of the factored matrix") {
        // A(t) = A + t S. With L(t) L(t)' = A(t), everything that depends on A alone must not see the factor.
        Tape tape;
        Var t = tape.variable(Tensor(0.1)), one = tape.full({}, 1, Dtype::float64);
        Var half = tape.constant(random_matrix({3, 3}, 5)), s = tape.constant(random_matrix({3, 3}, 6));
        Var a = matmul(half, half, {.transpose_b = true}) + 2 * tril(triu(tape.full({3, 3}, 1, Dtype::float64))) +
                t * (s + transpose(s));
        Var b = tape.constant(random_matrix({3, 2}, 7)), w = tape.constant(random_matrix({3, 2}, 8));
        Var v = tape.constant(random_matrix({3, 3}, 9));
        Var factor = cholesky(a);
        Var f = sum(cholesky_solve(b, factor) * w), expected = sum(solve(a, b) * w);
        Var product = sum(matmul(factor, factor, {.transpose_b = true}) * v), whole = sum(a * v);
        Var logarithm = slogdet(factor).logabsdet * 2, expected_logarithm = slogdet(a).logabsdet;
        for (int order = 0; order <= 4; ++order) {
            CAPTURE(order);
            CHECK(f.item() == doctest::Approx(expected.item()).epsilon(1e-10));
            CHECK(logarithm.item() == doctest::Approx(expected_logarithm.item()).epsilon(1e-10));
            CHECK(std::fabs(product.item() - whole.item()) <= 1e-11);
            auto next = [&](Var y) { return order % 2 ? jvp(y, t, one) : gradient(y, t); };
            for (Var* y : {&f, &expected, &product, &whole, &logarithm, &expected_logarithm}) *y = next(*y);
        }
    }

    TEST_CASE("the cotangent of cholesky is symmetric, and does not read what lies above the factor's diagonal") {
        Tape tape;
        Var a = tape.variable(Tensor::of<double>({2, 2}, {2, 0.5, 0.5, 1}));
        auto slopes = [&](double above) {
            return gradient(cholesky(a), a, tape.constant(Tensor::of<double>({2, 2}, {1, above, 3, 4}))).value();
        };
        CHECK(slopes(7).at(1) == slopes(7).at(2));
        for (std::int64_t i = 0; i < 4; ++i) CHECK(slopes(7).at(i) == slopes(-1).at(i));
    }

    TEST_CASE("solving with a matrix of float32 or of several right-hand sides undoes multiplying with it") {
        Tape tape;
        Var a = tape.variable(random_matrix({5, 20, 20}, 1)), x = tape.variable(random_matrix({5, 20, 3}, 2));
        Tensor back = solve(a, matmul(a, x)).value();
        for (std::int64_t i = 0; i < back.size(); ++i) CHECK(std::fabs(back.at(i) - x.value().at(i)) <= 1e-11);
        Var narrow = tape.variable(a.value().as(Dtype::float32));
        Tensor identity = matmul(narrow, inv(narrow)).value();
        for (std::int64_t i = 0; i < identity.size(); ++i)
            CHECK(std::fabs(identity.at(i) - (i % 400 % 21 == 0 ? 1 : 0)) <= 1e-3);
    }

    TEST_CASE("NaN goes through linear algebra, and does not keep it from ending") {
        Tape tape;
        Var a = tape.variable(Tensor::of<double>({2, 2}, {1, std::nan(""), 0, 1}));
        CHECK(std::isnan(det(a).item()));
        CHECK(std::isnan(gradient(det(a), a).value().at(0)));
        CHECK(std::isnan(inv(a).value().at(1)));
    }

    TEST_CASE("singular and indefinite matrices are named, and leave other values as they are") {
        Tape tape;
        Var batch = tape.variable(Tensor::of<double>({2, 2, 2}, {1, 0, 0, 1, 1, 2, 2, 4})),
            b = tape.full({2, 1}, 1, Dtype::float64);
        Var x = solve(batch, b), y = inv(batch), indefinite = cholesky(batch - 1.5 * tril(triu(batch)));
        CHECK_THROWS_WITH_AS(x.value(), "solve: needs invertible matrices; pivot 1 of matrix 1 of [2, 2, 2] is 0",
                             ValueError);
        CHECK_THROWS_WITH_AS(y.value(), "inv: needs invertible matrices; pivot 1 of matrix 1 of [2, 2, 2] is 0",
                             ValueError);
        CHECK_THROWS_WITH_AS(indefinite.value(),
                             "cholesky: needs positive definite matrices; the leading minor of order 1 of matrix "
                             "0 of [2, 2, 2] is not positive",
                             ValueError);
        CHECK(det(batch).value().at(0) == 1);
        Tensor through_zero =
            solve_triangular(tape.variable(Tensor::of<double>({1, 1}, {0})), tape.full({1, 1}, 1, Dtype::float64))
                .value();
        CHECK(std::isinf(through_zero.at(0)));
    }

    TEST_CASE("linear algebra names the shapes and types that do not fit, and leaves the tape as it was") {
        Tape tape;
        auto of = [&](const Shape& shape, Dtype dtype = Dtype::float64) {
            return tape.variable(Tensor::full(shape, 1, dtype));
        };
        Var wide = of({2, 3}), square = of({2, 2}), vector = of({3}), integers = of({2, 2}, Dtype::int64);
        Var narrow = of({2, 2}, Dtype::float32), batch = of({3, 2, 2}), other = of({4, 2, 2}), three = of({3, 3});
        Var scalar = of({});
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(det(wide), "det: needs square matrices [..., n, n], got [2, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(slogdet(vector), "slogdet: needs square matrices [..., n, n], got [3]", ShapeError);
        CHECK_THROWS_WITH_AS(inv(integers), "inv: needs float32 or float64, got int64", DtypeError);
        CHECK_THROWS_WITH_AS(cholesky(wide), "cholesky: needs square matrices [..., n, n], got [2, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(cholesky(integers), "cholesky: needs float32 or float64, got int64", DtypeError);
        CHECK_THROWS_WITH_AS(solve(square, narrow), "solve: cannot combine float64 with float32", DtypeError);
        CHECK_THROWS_WITH_AS(solve(square, three), "solve: cannot solve with [2, 2] for [3, 3]", ShapeError);
        CHECK_THROWS_WITH_AS(solve(vector, scalar), "solve: needs matrices, got [3] and []", ShapeError);
        CHECK_THROWS_WITH_AS(solve(batch, other), "solve: cannot broadcast [3] with [4]", ShapeError);
        CHECK_THROWS_WITH_AS(solve(square, of({2}), {.left = false}),
                             "solve: needs matrices on the right-hand side of X A = B, got [2]", ShapeError);
        CHECK_THROWS_WITH_AS(solve_triangular(square, vector), "solve_triangular: needs matrices, got [2, 2] and [3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(cholesky_solve(three, square), "solve_triangular: cannot solve with [2, 2] for [3, 3]",
                             ShapeError);
        CHECK_THROWS_WITH_AS(tril(vector), "tril: needs matrices [..., m, n], got [3]", ShapeError);
        CHECK(tape.size() == size + 1);
    }
}

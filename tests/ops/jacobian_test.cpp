#include <cotape/ops/jacobian.hpp>

#include <cmath>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

using namespace cotape;

TEST_SUITE("ops") {
    TEST_CASE("a Jacobian has the shape of y followed by that of x, whichever way it is put together") {
        Tape tape;
        Var a = tape.variable(Tensor::of<double>({2, 3}, {1, 2, 3, 4, 5, 6}));
        Var b = tape.variable(Tensor::of<double>({3, 1}, {7, 8, 9}));
        Var y = matmul(a, b);
        for (JacobianMode mode : {JacobianMode::automatic, JacobianMode::forward, JacobianMode::reverse}) {
            Tensor of_a = jacobian(y, a, {.mode = mode}).value(), of_b = jacobian(y, b, {.mode = mode}).value();
            CHECK(of_a.shape() == Shape{2, 1, 2, 3});
            CHECK(of_b.shape() == Shape{2, 1, 3, 1});
            for (std::int64_t i = 0; i < 2; ++i)
                for (std::int64_t k = 0; k < 3; ++k) {
                    CHECK(of_b.at(3 * i + k) == a.value().at(3 * i + k));
                    for (std::int64_t row = 0; row < 2; ++row)
                        CHECK(of_a.at(6 * i + 3 * row + k) == (row == i ? b.value().at(k) : 0));
                }
        }
    }

    TEST_CASE("a Jacobian takes as many passes as the smaller side has elements") {
        auto nodes = [](Shape of_x, Shape of_y, JacobianMode mode) {
            Tape tape;
            Var x = tape.variable(Tensor::full(of_x, 1, Dtype::float64)),
                w = tape.variable(Tensor::full(of_y, 2, Dtype::float64));
            Var y = w * sum(exp(x));
            std::size_t size = tape.size();
            jacobian(y, x, {.mode = mode});
            return tape.size() - size;
        };
        CHECK(nodes({30}, {2}, JacobianMode::automatic) == nodes({30}, {2}, JacobianMode::reverse));
        CHECK(nodes({2}, {30}, JacobianMode::automatic) == nodes({2}, {30}, JacobianMode::forward));
        CHECK(nodes({2}, {30}, JacobianMode::reverse) > 5 * nodes({2}, {30}, JacobianMode::forward));
        CHECK(nodes({30}, {2}, JacobianMode::forward) > 5 * nodes({30}, {2}, JacobianMode::reverse));
    }

    TEST_CASE("Jacobians of Jacobians are the tensors of higher derivatives") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({2}, {0.5, 2}));
        Var y = sum(x * x * x) * sum(exp(x)); // (a^3 + b^3) (e^a + e^b)
        double a = 0.5, b = 2, ea = std::exp(a), eb = std::exp(b), cubes = a * a * a + b * b * b;
        Tensor third = jacobian(hessian(y, x), x).value();
        CHECK(third.shape() == Shape{2, 2, 2});
        CHECK(third.at(0) == doctest::Approx(6 * (ea + eb) + 18 * a * ea + 9 * a * a * ea + cubes * ea).epsilon(1e-14));
        double mixed = 6 * a * eb + 3 * b * b * ea; // two a, one b
        for (std::int64_t position : {1, 2, 4}) CHECK(third.at(position) == doctest::Approx(mixed).epsilon(1e-14));
        CHECK(jacobian(gradient(y, x), x).value().at(1) == hessian(y, x).value().at(1));
    }

    TEST_CASE("a Hessian times a direction is hvp") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({2, 2}, {0.1, -0.4, 0.7, 0.2}));
        Var v = tape.constant(Tensor::of<double>({2, 2}, {1, 2, -1, 3}));
        Var y = sum(tanh(matmul(x, x)) * exp(x));
        Tensor product = matmul(reshape(hessian(y, x), {4, 4}), reshape(v, {4, 1})).value();
        Tensor expected = hvp(y, x, v).value();
        for (std::int64_t i = 0; i < 4; ++i) CHECK(product.at(i) == doctest::Approx(expected.at(i)).epsilon(1e-13));
    }

    TEST_CASE("a Jacobian is zero where y does not depend on x, and empty where either is") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2}, 1)), other = tape.variable(Tensor::full({3}, 1));
        Var none = tape.variable(Tensor::full({0, 2}, 1)), y = x * x;
        CHECK(jacobian(y, other).type() == Type{{2, 3}, Dtype::float32});
        CHECK(jacobian(y, other).value().at(5) == 0);
        CHECK(jacobian(y, none).value().shape() == Shape{2, 0, 2});
        CHECK(jacobian(none, x, {.mode = JacobianMode::reverse}).value().shape() == Shape{0, 2, 2});
        CHECK(hessian(x, x).value().at(0) == 0);
    }

    TEST_CASE("a Jacobian is recorded for the line of its y, and found again") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2}, 1, Dtype::float64));
        Var y = exp(x);
        Var j = jacobian(y, x);
        CHECK(j.node().where.line() == y.node().where.line());
        std::size_t size = tape.size();
        CHECK(is_same(jacobian(y, x), j));
        CHECK(tape.size() == size);
    }

    TEST_CASE("Jacobians and Hessians refuse what cannot be differentiated") {
        Tape tape, elsewhere;
        Var x = tape.variable(Tensor::full({2}, 1)), labels = tape.constant(Tensor::full({2}, 1, Dtype::int64));
        Var wide = tape.variable(Tensor::full({2}, 1, Dtype::float64)),
            stray = elsewhere.variable(Tensor::full({2}, 1));
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(jacobian(x, labels),
                             "jacobian: needs y and x both float32 or both float64, got float32 [2] and int64 [2]",
                             DtypeError);
        CHECK_THROWS_WITH_AS(hessian(wide, x),
                             "hessian: needs y and x both float32 or both float64, got float64 [2] and float32 [2]",
                             DtypeError);
        CHECK_THROWS_WITH_AS(jacobian(x, stray), "jacobian: y and x are on two tapes", TapeError);
        CHECK_THROWS_WITH_AS(vjp(x, x, tape.full({3}, 1, Dtype::float32)),
                             "vjp: the cotangent must be float32 [2], got float32 [3]", ShapeError);
        CHECK(tape.size() == size + 1);
    }
}

#include <cmath>
#include <vector>

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

TEST_SUITE("core") {
    TEST_CASE("jvp is the directional derivative, of the type of y") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({3}, {1, 2, 3})), w = tape.variable(Tensor::of<double>({2}, {5, 7}));
        Var dx = tape.constant(Tensor::of<double>({3}, {1, 10, 100})),
            dw = tape.constant(Tensor::of<double>({2}, {1, 2}));
        Var y = sum(x * x) * w;
        Var directional = jvp(y, std::vector{x, w}, std::vector{dx, dw});
        CHECK(directional.type() == y.type());
        CHECK(directional.value().at(0) == 2 * (1 + 20 + 300) * 5 + 14 * 1);
        CHECK(directional.value().at(1) == 2 * (1 + 20 + 300) * 7 + 14 * 2);
        CHECK(jvp(y, x, dx).value().at(0) == 2 * (1 + 20 + 300) * 5);
    }

    TEST_CASE("jvp agrees with the reverse pass: <seed, jvp> = <vjp, tangent>") {
        Tape tape;
        Var a = tape.variable(Tensor::of<double>({2, 3}, {.1, .2, .3, .4, .5, .6}));
        Var b = tape.variable(Tensor::of<double>({3, 2}, {.6, -.5, .4, -.3, .2, -.1}));
        Var da = tape.constant(Tensor::of<double>({2, 3}, {1, -2, 3, -4, 5, -6}));
        Var db = tape.constant(Tensor::of<double>({3, 2}, {2, 1, 0, -1, -2, -3}));
        Var seed = tape.constant(Tensor::of<double>({2, 2}, {1, 2, 3, 4}));
        Var y = tanh(matmul(a, b)) * exp(matmul(a, b));
        std::vector<Var> back = gradients(y, {a, b}, seed);
        double forward = sum(seed * jvp(y, std::vector{a, b}, std::vector{da, db})).item();
        CHECK(forward == doctest::Approx((sum(back[0] * da) + sum(back[1] * db)).item()).epsilon(1e-14));
    }

    TEST_CASE("vjp is the gradient with its cotangent as seed") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({2}, {1, 2})), w = tape.variable(Tensor::of<double>({2}, {3, 4}));
        Var g = tape.constant(Tensor::of<double>({2}, {5, 7})), y = x * x * w;
        std::vector<Var> back = vjp(y, std::vector{x, w}, g);
        CHECK(back[0].value().at(1) == 2 * 2 * 4 * 7);
        CHECK(back[1].value().at(0) == 5);
        CHECK(is_same(vjp(y, x, g), gradient(y, x, g)));
    }

    TEST_CASE("jvp is zero along an x that y does not depend on, and the tangent where y is x") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0)), other = tape.variable(Tensor::full({2}, 1, Dtype::float64));
        Var y = x * x;
        CHECK(jvp(y, other, other).type() == y.type());
        CHECK(jvp(y, other, other).item() == 0);
        CHECK(is_same(jvp(x, x, y), y));
        CHECK(jvp(y, std::vector<Var>(), std::vector<Var>()).item() == 0);
    }

    TEST_CASE("derivatives nest in every mixture of modes to order 4") {
        // The n-th derivative of exp(2x) is 2^n exp(2x), of x^6 a falling factorial times x^(6-n).
        double at = 0.7;
        for (int mixture = 0; mixture < 16; ++mixture) {
            Tape tape;
            Var x = tape.variable(Tensor(at)), one = tape.full({}, 1, Dtype::float64);
            Var y = exp(2 * x) + x * x * x * x * x * x;
            double power = std::pow(at, 6), exponential = std::exp(2 * at);
            for (int order = 1; order <= 4; ++order) {
                CAPTURE(mixture);
                CAPTURE(order);
                y = mixture >> (order - 1) & 1 ? jvp(y, x, one) : gradient(y, x);
                power *= (7 - order) / at;
                exponential *= 2;
                CHECK(y.item() == doctest::Approx(power + exponential).epsilon(1e-13));
            }
        }
    }

    TEST_CASE("nested jvps along different tangents give mixed partial derivatives") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({2}, {0.5, 2})), y = sum(x * x * x) * sum(exp(x));
        Var e0 = tape.constant(Tensor::of<double>({2}, {1, 0})), e1 = tape.constant(Tensor::of<double>({2}, {0, 1}));
        double a = 0.5, b = 2; // y = (a^3 + b^3) (e^a + e^b)
        double expected = 3 * a * a * std::exp(b) + 3 * b * b * std::exp(a);
        CHECK(jvp(jvp(y, x, e0), x, e1).item() == doctest::Approx(expected).epsilon(1e-14));
        CHECK(jvp(jvp(y, x, e1), x, e0).item() == doctest::Approx(expected).epsilon(1e-14));
    }

    TEST_CASE("a tangent may depend on x itself") {
        Tape tape;
        Var x = tape.variable(Tensor(3.0));
        Var along_itself = jvp(x * x, x, x); // 2 x^2
        CHECK(along_itself.item() == 18);
        CHECK(gradient(along_itself, x).item() == 12);
        CHECK(jvp(along_itself, x, x).item() == 36);
    }

    TEST_CASE("hvp is the Hessian times the direction, and nests with jvp") {
        Tape tape;
        Var x = tape.variable(Tensor::of<double>({2}, {2, 3})), v = tape.constant(Tensor::of<double>({2}, {1, -1}));
        Var y = prod(x * x); // a^2 b^2: Hessian [[2 b^2, 4 a b], [4 a b, 2 a^2]]
        Var product = hvp(y, x, v);
        CHECK(product.value().at(0) == 18 - 24);
        CHECK(product.value().at(1) == 24 - 8);
        CHECK(jvp(gradient(y, x), x, v).value().at(0) == 18 - 24);
        Var third = jvp(product, x, v); // [8 b v_b v_a + 4 a v_b^2, ...]
        CHECK(third.value().at(0) == 8 * 3 * -1 + 4 * 2);
        CHECK(third.value().at(1) == 8 * 2 * -1 + 4 * 3);
    }

    TEST_CASE("tangents must match their xs") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2}, 1)), y = x * x;
        CHECK_THROWS_WITH_AS(jvp(y, std::vector{x, x}, std::vector{x}),
                             "jvp: needs one tangent for each of 2 inputs, got 1", ValueError);
        CHECK_THROWS_WITH_AS(jvp(y, x, tape.variable(Tensor::full({3}, 1))),
                             "jvp: the tangent must be float32 [2], got float32 [3]", ShapeError);
        CHECK_THROWS_WITH_AS(jvp(y, x, tape.variable(Tensor::full({2}, 1, Dtype::float64))),
                             "jvp: the tangent must be float32 [2], got float64 [2]", DtypeError);
    }

    TEST_CASE("the gradient of a product, seeded with the product itself, has a jvp") {
        Tape tape;
        auto matrix = [&](const Shape& shape, double first) {
            return tape.variable(Tensor::make<double>(shape, [&](std::span<double> elements) {
                for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = first + static_cast<double>(i);
            }));
        };
        Var x = matrix({2, 3}, 1), w = matrix({3, 2}, 2), v = matrix({3, 2}, -1);
        Var y = matmul(x, w);
        Var slope = gradients(y, {w}, y)[0]; // transpose(x) x w
        Tensor moved = jvp(slope, w, v).value(), expected = matmul(transpose(x), matmul(x, v)).value();
        for (std::int64_t i = 0; i < moved.size(); ++i) CHECK(moved.at(i) == expected.at(i));
        CHECK(std::isfinite(jvp(sum(slope), std::vector<Var>{x, w}, std::vector<Var>{x, v}).item()));
    }
}

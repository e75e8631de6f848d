#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/losses.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/softmax.hpp>

using namespace cotape;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity(), NaN = std::numeric_limits<double>::quiet_NaN();

using Numbers = std::vector<double>;

Numbers numbers(Var var) {
    Tensor value = var.value();
    Numbers result;
    for (std::int64_t i = 0; i < value.size(); ++i) result.push_back(value.at(i));
    return result;
}

/// Equal, a NaN being equal to a NaN.
bool same(const Numbers& a, const Numbers& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!(a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])))) return false;
    return true;
}

/// A function of one vector: its values and, with cotangents of 3, its gradient, in float32 and float64 alike.
template <class Function>
void check_at(Function function, const Numbers& x, const Numbers& values, const Numbers& slopes) {
    for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
        Tape tape;
        Var input = tape.constant(Tensor::of<double>({static_cast<std::int64_t>(x.size())}, x).as(dtype));
        Var y = function(input);
        Numbers got = numbers(y), slope = numbers(gradient(y, input, tape.full(y.shape(), 3, dtype)));
        INFO("values ", doctest::toString(got), ", gradient ", doctest::toString(slope), " in ", to_string(dtype));
        CHECK(same(got, values));
        CHECK(same(slope, slopes));
    }
}

} // namespace

namespace doctest {
template <>
struct StringMaker<Numbers> {
    static String convert(const Numbers& numbers) {
        String text;
        for (double number : numbers) text += toString(number) + " ";
        return text;
    }
};
} // namespace doctest

TEST_SUITE("ops") {
    TEST_CASE("relu has the derivative 0 at 0, and lets NaN through") {
        check_at([](Var x) { return relu(x); }, {-1, 0, -0.0, 2, inf, -inf, NaN}, {0, 0, 0, 2, inf, 0, NaN},
                 {0, 0, 0, 3, 3, 0, 3});
    }

    TEST_CASE("leaky_relu has its slope at 0") {
        check_at([](Var x) { return leaky_relu(x, 0.5); }, {-2, 0, 2, NaN}, {-1, 0, 2, NaN}, {1.5, 1.5, 3, 1.5});
    }

    TEST_CASE("abs has the derivative 0 at 0 and at NaN") {
        check_at([](Var x) { return abs(x); }, {-2, 0, -0.0, inf, -inf, NaN}, {2, 0, 0, inf, inf, NaN},
                 {-3, 0, 0, 3, -3, 0});
    }

    TEST_CASE("clamp has the derivative 1 at both ends, and keeps NaN") {
        check_at([](Var x) { return clamp(x, -1, 1); }, {-2, -1, 0, 1, 2, NaN, inf}, {-1, -1, 0, 1, 1, NaN, 1},
                 {0, 3, 3, 3, 0, 3, 0});
    }

    TEST_CASE("max and min give the cotangent to the first of equal elements, or to the first NaN") {
        auto largest = [](Var x) { return max(x); };
        auto smallest = [](Var x) { return min(x); };
        check_at(largest, {1, 4, 4, 2}, {4}, {0, 3, 0, 0});
        check_at(largest, {7, 7, 7}, {7}, {3, 0, 0});
        check_at(largest, {1, NaN, 4, NaN}, {NaN}, {0, 3, 0, 0});
        check_at(largest, {-inf, -inf}, {-inf}, {3, 0});
        check_at(largest, {0.0, -0.0}, {0}, {3, 0});
        check_at(smallest, {2, 1, 4, 1}, {1}, {0, 3, 0, 0});
        check_at(smallest, {4, 1, NaN}, {NaN}, {0, 0, 3});
        check_at(smallest, {inf, inf}, {inf}, {3, 0});
    }

    TEST_CASE("max finds a NaN wherever it stands in a long row, and in every row") {
        for (std::int64_t position = 0; position < 40; ++position) {
            Tape tape;
            Numbers x(80, 1);
            x[static_cast<std::size_t>(position)] = NaN;
            Var matrix = tape.constant(Tensor::of<double>({2, 40}, x));
            CHECK(same(numbers(max(matrix, {1})), {NaN, 1}));
            CHECK(same(numbers(min(matrix, {1})), {NaN, 1}));
            CHECK(std::isnan(max(matrix, {0}).value().at(position)));
        }
    }

    TEST_CASE("argmax names the first of equal elements, or the first NaN") {
        Tape tape;
        auto position = [&](const Numbers& x) {
            return argmax(tape.constant(Tensor::of<double>({static_cast<std::int64_t>(x.size())}, x)), 0).item();
        };
        CHECK(position({1, 4, 4}) == 1);
        CHECK(position({1, 4, NaN, 9, NaN}) == 2);
        CHECK(position({NaN, 1}) == 0);
        CHECK(position({-inf, -inf}) == 0);
    }

    TEST_CASE("maximum and minimum halve the cotangent of equal operands, and let NaN through from either side, with "
              "all of it") {
        Tape tape;
        Var a = tape.variable(Tensor::of<double>({5}, {1, 2, 3, NaN, 0}));
        Var b = tape.variable(Tensor::of<double>({5}, {1, 3, 2, 0, NaN}));
        Var seed = tape.full({5}, 1, Dtype::float64);
        CHECK(same(numbers(maximum(a, b)), {1, 3, 3, NaN, NaN}));
        CHECK(same(numbers(gradient(maximum(a, b), a, seed)), {0.5, 0, 1, 1, 1}));
        CHECK(same(numbers(gradient(maximum(a, b), b, seed)), {0.5, 1, 0, 1, 1}));
        CHECK(same(numbers(minimum(a, b)), {1, 2, 2, NaN, NaN}));
        CHECK(same(numbers(gradient(minimum(a, b), a, seed)), {0.5, 1, 0, 1, 1}));
        CHECK(same(numbers(gradient(minimum(a, b), b, seed)), {0.5, 0, 1, 1, 1}));
    }

    TEST_CASE("logarithms, roots and quotients at the border of their domain are infinite, and NaN beyond") {
        check_at([](Var x) { return log(x); }, {0, -1, inf, NaN}, {-inf, NaN, inf, NaN}, {inf, -3, 0, NaN});
        check_at([](Var x) { return log1p(x); }, {-1, -2}, {-inf, NaN}, {inf, -3});
        check_at([](Var x) { return sqrt(x); }, {0, -1, inf}, {0, NaN, inf}, {inf, NaN, 0});
        check_at([](Var x) { return rsqrt(x); }, {0, -1, inf}, {inf, NaN, 0}, {-inf, NaN, 0});
        check_at([](Var x) { return reciprocal(x); }, {0, -0.0, inf}, {inf, -inf, 0}, {-inf, -inf, 0});
        check_at([](Var x) { return 1 / x; }, {0, -0.0, inf}, {inf, -inf, 0}, {-inf, -inf, 0});
        check_at([](Var x) { return x / 0; }, {0, 1, -1}, {NaN, inf, -inf}, {inf, inf, inf});
    }

    TEST_CASE("pow is NaN for negative bases and fractional exponents, and has exact derivatives at 0") {
        check_at([](Var x) { return pow(x, 0.5); }, {-2, 0, 4}, {NaN, 0, 2}, {NaN, inf, 0.75});
        check_at([](Var x) { return pow(x, 2); }, {-2, 0, NaN}, {4, 0, NaN}, {-12, 0, NaN});
        check_at([](Var x) { return pow(x, 1); }, {-2, 0, NaN}, {-2, 0, NaN}, {3, 3, 3});
        check_at([](Var x) { return pow(x, 0); }, {-2, 0, NaN, inf}, {1, 1, 1, 1}, {0, 0, 0, 0});
        check_at([](Var x) { return pow(x, -1); }, {0, 2}, {inf, 0.5}, {-inf, -0.75});
        check_at([](Var x) { return pow(0, x); }, {0, 1, 2, -1}, {1, 0, 0, inf}, {0, 0, 0, -inf});
    }

    TEST_CASE("constants and lines by pow have the second derivative 0, at NaN and next to 0 too") {
        for (double x0 : {5e-324, 1e-320, -1e-300, 1e-160, 0.0, 2.0, inf, NaN})
            for (double exponent : {0, 1}) {
                CAPTURE(x0);
                Tape tape;
                Var x = tape.variable(Tensor(x0));
                CHECK(gradient(gradient(pow(x, exponent), x), x).item() == 0);
            }
        Tape tape;
        Var x = tape.variable(Tensor(1e-30f));
        CHECK(gradient(gradient(pow(x, 0), x), x).item() == 0);
    }

    TEST_CASE("the mixed second derivative of pow is the same in either order, also where the exponent is 0") {
        Tape tape;
        Var x = tape.variable(Tensor(2.0)), exponent = tape.variable(Tensor(0.0)), y = pow(x, exponent);
        CHECK(gradient(gradient(y, x), exponent).item() == 0.5);
        CHECK(gradient(gradient(y, exponent), x).item() == 0.5);
    }

    TEST_CASE("where passes no NaN from the side it does not choose, forward or backward") {
        check_at([](Var x) { return where(greater(x, 0), x, NaN); }, {1, -1}, {1, NaN}, {3, 0});
        check_at([](Var x) { return where(greater(x, 0), log(where(greater(x, 0), x, 1)), 0); }, {1, -1}, {0, 0},
                 {3, 0});
    }

    TEST_CASE("sigmoid and softplus stay finite far out") {
        check_at([](Var x) { return sigmoid(x); }, {-1e4, 0, 1e4, inf, -inf, NaN}, {0, 0.5, 1, 1, 0, NaN},
                 {0, 0.75, 0, 0, 0, NaN});
        check_at([](Var x) { return softplus(x); }, {-1e4, 1e4, inf, -inf, NaN}, {0, 1e4, inf, 0, NaN},
                 {0, 3, 3, 0, NaN});
    }

    TEST_CASE("softmax and logsumexp stand large and infinite logits") {
        check_at([](Var x) { return softmax(x); }, {1e4, 0, -1e4}, {1, 0, 0}, {0, 0, 0});
        check_at([](Var x) { return softmax(x); }, {0, -inf, 0}, {0.5, 0, 0.5}, {0, 0, 0});
        check_at([](Var x) { return softmax(x); }, {-inf, -inf}, {NaN, NaN}, {NaN, NaN});
        check_at([](Var x) { return softmax(x); }, {1, NaN}, {NaN, NaN}, {NaN, NaN});
        check_at([](Var x) { return log_softmax(x); }, {1e4, 0, -1e4}, {0, -1e4, -2e4}, {-6, 3, 3});
        check_at([](Var x) { return logsumexp(x); }, {1e4, 0, -1e4}, {1e4}, {3, 0, 0});
        check_at([](Var x) { return logsumexp(x); }, {0, -inf}, {0}, {3, 0});
        check_at([](Var x) { return logsumexp(x); }, {1, NaN}, {NaN}, {NaN, NaN});
        Tape tape;
        CHECK(logsumexp(tape.constant(Tensor::of<double>({2}, {-inf, -inf}))).item() == -inf);
        CHECK(logsumexp(tape.constant(Tensor::of<double>({2}, {inf, 0}))).item() == inf);
    }

    TEST_CASE("cross_entropy stays finite where another class is impossible, and is infinite where the label is") {
        Tape tape;
        Tensor labels = Tensor::of<std::int64_t>({2}, {0, 1});
        Var logits = tape.variable(Tensor::of<double>({2, 3}, {0, 0, -inf, -inf, 0, 0}));
        for (Tensor weights : {Tensor(), Tensor::of<double>({3}, {1, 1, 1})}) {
            Var loss = cross_entropy(logits, labels, {.class_weights = weights});
            CHECK(loss.item() == doctest::Approx(std::log(2)));
            CHECK(same(numbers(gradient(loss, logits)), {-0.25, 0.25, 0, 0, -0.25, 0.25}));
        }
        CHECK(cross_entropy(logits, Tensor::of<std::int64_t>({2}, {2, 1})).item() == inf);
        CHECK(cross_entropy(logits, labels, {.label_smoothing = 0.1}).item() == inf);
    }

    TEST_CASE("binary cross entropy stays finite for logits far out") {
        Tape tape;
        Var logits = tape.variable(Tensor::of<double>({4}, {1e4, -1e4, 1e4, -1e4}));
        Var loss = binary_cross_entropy_with_logits(logits, tape.constant(Tensor::of<double>({4}, {1, 0, 0, 1})));
        CHECK(loss.item() == 5000);
        CHECK(same(numbers(gradient(loss, logits)), {0, 0, 0.25, -0.25}));
    }

    TEST_CASE("binary cross entropy keeps the small loss of confident logits of either sign") {
        for (double logit : {8.0, 15.0, 35.0})
            for (double target : {0.0, 1.0})
                for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                    CAPTURE(logit);
                    CAPTURE(target);
                    double few_ulp = dtype == Dtype::float32 ? 5e-7 : 1e-15;
                    Tape tape;
                    Var x = tape.variable(Tensor(target == 1 ? logit : -logit, dtype));
                    Var loss = binary_cross_entropy_with_logits(x, tape.constant(Tensor(target, dtype)));
                    CHECK(std::abs(loss.item() / std::log1p(std::exp(-logit)) - 1) < few_ulp);
                    double share = std::exp(-logit) / (1 + std::exp(-logit)), slope = target == 1 ? -share : share;
                    CHECK(std::abs(gradient(loss, x).item() / slope - 1) < few_ulp);
                }
    }

    TEST_CASE("binary cross entropy of an infinite logit on the wrong side is infinite") {
        Tape tape;
        Var logits = tape.variable(Tensor::of<double>({2}, {inf, -inf}));
        Var loss = binary_cross_entropy_with_logits(logits, tape.constant(Tensor::of<double>({2}, {0, 1})));
        CHECK(loss.item() == inf);
        CHECK(same(numbers(gradient(loss, logits)), {0.5, -0.5}));
    }

    TEST_CASE("sum and prod over no elements are 0 and 1") {
        Tape tape;
        Var none = tape.variable(Tensor::of<double>({2, 0}, {}));
        CHECK(same(numbers(sum(none, {1})), {0, 0}));
        CHECK(same(numbers(prod(none, {1})), {1, 1}));
        CHECK(gradient(sum(none), none).value().size() == 0);
        CHECK(gradient(prod(none), none).value().size() == 0);
    }

    TEST_CASE("comparisons with NaN are false, but for not_equal") {
        Tape tape;
        Var x = tape.constant(Tensor::of<double>({2}, {NaN, 1})),
            y = tape.constant(Tensor::of<double>({2}, {NaN, NaN}));
        for (auto compare : {equal, less, less_equal, greater, greater_equal})
            CHECK(same(numbers(compare(x, y)), {0, 0}));
        CHECK(same(numbers(not_equal(x, y)), {1, 1}));
    }
}

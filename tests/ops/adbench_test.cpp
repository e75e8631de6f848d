#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <numbers>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/draws.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

// Two objectives of ADBench (Srajer, Kukelova, Fitzgibbon 2018): the fit of a Gaussian mixture and an LSTM with
// diagonal weights, as its C++ code has them. The references are written on single numbers, and differentiated by a
// complex step in extended precision: f'(x) is the imaginary part of f(x + i h) / h, exact to rounding.

using namespace cotape;

namespace {

using Number = std::complex<long double>;
using Numbers = std::vector<Number>;
using Doubles = std::vector<double>;

Doubles drawn(std::int64_t count, unsigned seed, double low = -1, double high = 1) {
    std::mt19937 random(seed);
    Doubles result(static_cast<std::size_t>(count));
    for (double& value : result) value = draw_uniform(random, low, high);
    return result;
}

/// The derivatives of `function` in each of `x`.
Doubles by_complex_step(const std::function<Number(const Numbers&)>& function, const Doubles& x) {
    constexpr long double step = 1e-40L;
    Doubles slopes;
    Numbers at(x.begin(), x.end());
    for (Number& element : at) {
        element += Number(0, step);
        slopes.push_back(static_cast<double>(function(at).imag() / step));
        element = element.real();
    }
    return slopes;
}

void check_against(const Doubles& expected, const Tensor& got) {
    REQUIRE(got.size() == static_cast<std::int64_t>(expected.size()));
    double largest = 0;
    for (double value : expected) largest = std::fmax(largest, std::fabs(value));
    for (std::int64_t i = 0; i < got.size(); ++i)
        // A few hundred roundings of double precision; ADBench asks for 1e-8.
        CHECK(std::fabs(got.at(i) - expected[static_cast<std::size_t>(i)]) <= 1e-12 * largest);
}

Number logsumexp_of(const Numbers& x) {
    long double largest = -INFINITY;
    for (Number value : x) largest = std::max(largest, value.real());
    Number sum = 0;
    for (Number value : x) sum += std::exp(value - largest);
    return largest + std::log(sum);
}

/// The log posterior of a mixture of k Gaussians in d dimensions with n points. A component's inverse covariance factor
/// Q is lower triangular: first the logarithms of its diagonal, then what is below that, column by column.
struct Mixture {
    std::int64_t d, k, n;
    double wishart_gamma = 1.3;
    std::int64_t wishart_m = 2;
    Doubles x = drawn(n * d, 5);

    std::int64_t factor_size() const { return d * (d + 1) / 2; }
    std::int64_t parameters() const { return k * (1 + d + factor_size()); }

    double constant() const {
        double wishart_n = static_cast<double>(d + wishart_m + 1), p = static_cast<double>(d);
        double log_gamma = 0.25 * p * (p - 1) * std::log(std::numbers::pi);
        for (int j = 1; j <= d; ++j) log_gamma += std::lgamma(0.5 * wishart_n + 0.5 * (1 - j));
        double prior = wishart_n * p * (std::log(wishart_gamma) - 0.5 * std::log(2)) - log_gamma;
        return -0.5 * static_cast<double>(n * d) * std::log(2 * std::numbers::pi) - static_cast<double>(k) * prior;
    }

    Number reference(const Numbers& parameters) const {
        const Number *alphas = parameters.data(), *means = alphas + k, *factors = means + k * d;
        Number total = static_cast<long double>(constant()) -
                       static_cast<long double>(n) * logsumexp_of(Numbers(alphas, alphas + k));
        for (std::int64_t point = 0; point < n; ++point) {
            Numbers terms;
            for (std::int64_t c = 0; c < k; ++c) {
                const Number* q = factors + c * factor_size();
                Numbers centred(static_cast<std::size_t>(d)), product(centred);
                Number term = alphas[c];
                for (std::int64_t i = 0; i < d; ++i) {
                    auto at = static_cast<std::size_t>(i);
                    centred[at] =
                        static_cast<long double>(x[static_cast<std::size_t>(point * d + i)]) - means[c * d + i];
                    product[at] = std::exp(q[i]) * centred[at];
                    term += q[i];
                }
                const Number* below = q + d;
                for (std::size_t i = 0; i < centred.size(); ++i)
                    for (std::size_t j = i + 1; j < centred.size(); ++j) product[j] += *below++ * centred[i];
                for (Number element : product) term -= 0.5L * element * element;
                terms.push_back(term);
            }
            total += logsumexp_of(terms);
        }
        for (std::int64_t c = 0; c < k; ++c)
            for (std::int64_t i = 0; i < factor_size(); ++i) {
                Number q = factors[c * factor_size() + i], element = i < d ? std::exp(q) : q;
                total += static_cast<long double>(0.5 * wishart_gamma * wishart_gamma) * element * element;
                if (i < d) total -= static_cast<long double>(wishart_m) * q;
            }
        return total;
    }

    Var recorded(Var parameters) const {
        Tape& tape = parameters.tape();
        Var alphas = reshape(slice(parameters, 0, 0, k), {k, 1}),
            means = reshape(slice(parameters, 0, k, k + k * d), {k, 1, d});
        Var factors = reshape(slice(parameters, 0, k + k * d, this->parameters()), {k, factor_size()});
        Var logarithms = slice(factors, 1, 0, d), below = slice(factors, 1, d, factor_size());
        Var entries = concatenate({tape.full({k, 1}, 0, Dtype::float64), exp(logarithms), below}, 1);
        std::vector<std::int64_t> source(
            static_cast<std::size_t>(d * d)); // of each element of Q; 0 for the zeros above
        for (std::int64_t column = 0, next = d + 1; column < d; ++column)
            for (std::int64_t row = column; row < d; ++row)
                source[static_cast<std::size_t>(row * d + column)] = row == column ? row + 1 : next++;
        Var q = permute(take(transpose(entries), tape.constant(Tensor::of({d, d}, source))), {2, 0, 1});
        Var products = matmul(tape.constant(Tensor::of({n, d}, x)) - means, q, {.transpose_b = true}); // [k, n, d]
        Var log_determinants = sum(logarithms, {1}, {.keep_dims = true});
        Var terms = alphas + log_determinants - 0.5 * sum(square(products), {2});
        Var prior = 0.5 * wishart_gamma * wishart_gamma * sum(square(entries)) - wishart_m * sum(logarithms);
        return constant() + sum(logsumexp(terms, {0})) - n * logsumexp(alphas) + prior;
    }
};

/// An LSTM of l layers with b cells each, and diagonal weights, on a sequence of c vectors of b numbers.
struct DiagonalLstm {
    std::int64_t l, b, c;
    Doubles state = drawn(2 * l * b, 6), sequence = drawn(c * b, 7, 0, 1);

    std::int64_t parameters() const { return (8 * l + 3) * b; }

    Number reference(const Numbers& parameters) const {
        auto sigmoid = [](Number x) { return 1.0L / (1.0L + std::exp(-x)); };
        Numbers memory(state.begin(), state.end());
        const Number* extra = parameters.data() + 8 * l * b;
        Number total = 0;
        for (std::int64_t t = 0; t + 1 < c; ++t) {
            Numbers layer_input;
            for (std::int64_t i = 0; i < b; ++i)
                layer_input.push_back(extra[i] *
                                      static_cast<long double>(sequence[static_cast<std::size_t>(t * b + i)]));
            for (std::int64_t layer = 0; layer < l; ++layer) {
                const Number *weight = parameters.data() + 8 * b * layer, *bias = weight + 4 * b;
                Number *hidden = memory.data() + 2 * b * layer, *cell = hidden + b;
                for (std::int64_t i = 0; i < b; ++i) {
                    Number input = layer_input[static_cast<std::size_t>(i)];
                    Number forget = sigmoid(input * weight[i] + bias[i]),
                           in = sigmoid(hidden[i] * weight[b + i] + bias[b + i]);
                    Number out = sigmoid(input * weight[2 * b + i] + bias[2 * b + i]);
                    Number change = std::tanh(hidden[i] * weight[3 * b + i] + bias[3 * b + i]);
                    cell[i] = cell[i] * forget + in * change;
                    hidden[i] = out * std::tanh(cell[i]);
                    layer_input[static_cast<std::size_t>(i)] = hidden[i];
                }
            }
            Number normalizer = 2;
            for (std::int64_t i = 0; i < b; ++i)
                normalizer += std::exp(layer_input[static_cast<std::size_t>(i)] * extra[b + i] + extra[2 * b + i]);
            for (std::int64_t i = 0; i < b; ++i)
                total +=
                    static_cast<long double>(sequence[static_cast<std::size_t>((t + 1) * b + i)]) *
                    (layer_input[static_cast<std::size_t>(i)] * extra[b + i] + extra[2 * b + i] - std::log(normalizer));
        }
        return -total / static_cast<long double>((c - 1) * b);
    }

    Var recorded(Var parameters) const {
        Tape& tape = parameters.tape();
        Var rows = reshape(parameters, {8 * l + 3, b}), inputs = tape.constant(Tensor::of({c, b}, sequence));
        auto row = [](Var from, std::int64_t i) { return reshape(slice(from, 0, i, i + 1), {from.shape()[1]}); };
        Var start = tape.constant(Tensor::of({2 * l, b}, state)), total = tape.full({}, 0, Dtype::float64);
        std::vector<Var> hidden, cell;
        for (std::int64_t layer = 0; layer < l; ++layer) {
            hidden.push_back(row(start, 2 * layer));
            cell.push_back(row(start, 2 * layer + 1));
        }
        for (std::int64_t t = 0; t + 1 < c; ++t) {
            Var x = row(inputs, t) * row(rows, 8 * l);
            for (std::int64_t layer = 0; layer < l; ++layer) {
                Var &h = hidden[static_cast<std::size_t>(layer)], &memory = cell[static_cast<std::size_t>(layer)];
                auto gate = [&](Var from, std::int64_t i) {
                    return from * row(rows, 8 * layer + i) + row(rows, 8 * layer + 4 + i);
                };
                memory = memory * sigmoid(gate(x, 0)) + sigmoid(gate(h, 1)) * tanh(gate(h, 3));
                h = sigmoid(gate(x, 2)) * tanh(memory);
                x = h;
            }
            Var predicted = x * row(rows, 8 * l + 1) + row(rows, 8 * l + 2);
            total = total + sum(row(inputs, t + 1) * (predicted - log(sum(exp(predicted)) + 2)));
        }
        return -total / ((c - 1) * b);
    }
};

template <class Objective>
void check_objective(const Objective& objective) {
    Doubles parameters = drawn(objective.parameters(), 11);
    Tape tape;
    Var at = tape.variable(Tensor::of({objective.parameters()}, parameters)), value = objective.recorded(at);
    auto reference = [&](const Numbers& x) { return objective.reference(x); };
    double expected = static_cast<double>(reference(Numbers(parameters.begin(), parameters.end())).real());
    CHECK(value.item() == doctest::Approx(expected).epsilon(1e-13));
    Doubles slopes = by_complex_step(reference, parameters);
    check_against(slopes, gradient(value, at).value());
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("ADBench's Gaussian mixture has the value and the gradient of its reference") {
        check_objective(Mixture{.d = 2, .k = 3, .n = 5});
        check_objective(Mixture{.d = 1, .k = 1, .n = 3});
        check_objective(Mixture{.d = 10, .k = 5, .n = 30});
    }

    TEST_CASE("ADBench's LSTM has the value and the gradient of its reference") {
        check_objective(DiagonalLstm{.l = 2, .b = 14, .c = 4});
        check_objective(DiagonalLstm{.l = 4, .b = 3, .c = 20});
    }
}

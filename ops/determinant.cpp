#include <cotape/ops/determinant.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/gemm.hpp>
#include <cotape/ops/lapack.hpp>
#include <cotape/ops/linear_systems.hpp>
#include <cotape/ops/matrix_batches.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

using Matrix = std::vector<double>;

Type determinant_type(const Call& call) {
    Type type = square_type(call);
    return {batch_of(type.shape), type.dtype};
}

/// A number for each matrix, from its factors.
template <class Function>
auto kernel_of_factors(Function) {
    return [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
        MutableTensor result(output);
        std::int64_t n = call.shape(0).back();
        visit_floating(output.dtype, [&]<class T>(T) {
            std::span<T> y = result.elements<T>();
            for (std::size_t i = 0; i < y.size(); ++i)
                y[i] = static_cast<T>(Function()(
                    lapack::Lu<T>(inputs[0].elements<T>().data() + static_cast<std::int64_t>(i) * n * n, n), n));
        });
        return std::move(result).freeze();
    };
}

/// A cotangent of shape [...] against matrices.
Var over_matrices(Var g) { return reshape(g, matrices_shape(g.shape(), 1, 1)); }

Matrix product(const Matrix& a, const Matrix& b, std::int64_t n, bool transpose_a, bool transpose_b) {
    Matrix c(a.size());
    run(Gemm<double>{transpose_a, transpose_b, n, n, n, a.data(), b.data(), c.data()});
    return c;
}

double sign_of(const Matrix& orthogonal, std::int64_t n) {
    lapack::Lu<double> factors(orthogonal.data(), n);
    double sign = factors.sign();
    for (std::int64_t i = 0; i < n; ++i) sign = std::copysign(1, factors.pivot(i)) * sign;
    return sign;
}

/// Takes up to all orders of `count` different numbers below n, one after the other.
bool next_choice(std::vector<std::size_t>& choice, std::size_t n) {
    do {
        std::size_t i = choice.size();
        while (i > 0 && ++choice[i - 1] == n) choice[--i] = 0;
        if (i == 0) return false;
        std::vector<std::size_t> sorted = choice;
        std::ranges::sort(sorted);
        if (std::ranges::adjacent_find(sorted) == sorted.end()) return true;
    } while (true);
}

struct Permutation {
    std::vector<std::size_t> to;
    double sign;
};

std::vector<Permutation> permutations(std::size_t count) {
    std::vector<Permutation> result;
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    do {
        double sign = 1;
        for (std::size_t i = 0; i < count; ++i)
            for (std::size_t j = 0; j < i; ++j)
                if (order[j] > order[i]) sign = -sign;
        result.push_back({order, sign});
    } while (std::ranges::next_permutation(order).found);
    return result;
}

/// The derivative of the cofactors of diag(s) along each of `directions`. Of the terms of a determinant, those remain
/// that take one row r_i from each direction, and the row r_0 that the cofactor leaves out; all others are from the
/// diagonal.
Matrix cofactors_of_diagonal(const std::vector<double>& s, const std::vector<Matrix>& directions) {
    std::size_t n = s.size(), count = directions.size() + 1;
    Matrix result(n * n);
    if (count > n) return result;
    std::vector<Permutation> orders = permutations(count);
    std::vector<std::size_t> r(count);
    std::iota(r.begin(), r.end(), 0);
    do {
        double diagonal = 1;
        for (std::size_t i = 0; i < n; ++i)
            if (std::ranges::find(r, i) == r.end()) diagonal *= s[i];
        if (diagonal == 0) continue;
        for (const Permutation& order : orders) {
            double term = order.sign * diagonal;
            for (std::size_t i = 1; i < count; ++i) term *= directions[i - 1][r[i] * n + r[order.to[i]]];
            result[r[0] * n + r[order.to[0]]] += term;
        }
    } while (next_choice(r, n));
    return result;
}

/// The same for any matrix A = P diag(s) Q'.
Matrix cofactors(const Matrix& a, std::vector<Matrix> directions, std::int64_t n) {
    auto finite = [](const Matrix& matrix) {
        return std::ranges::all_of(matrix, [](double x) { return std::isfinite(x); });
    };
    if (!finite(a)) return Matrix(a.size(), std::numeric_limits<double>::quiet_NaN());
    lapack::Svd svd(a, n);
    for (Matrix& direction : directions)
        direction = product(product(svd.p, direction, n, true, false), svd.q_transposed, n, false, true);
    Matrix result = product(product(svd.p, cofactors_of_diagonal(svd.s, directions), n, false, false), svd.q_transposed,
                            n, false, false);
    double sign = sign_of(svd.p, n) * sign_of(svd.q_transposed, n);
    for (double& element : result) element *= sign;
    return result;
}

/// The cofactor matrix of the first input, differentiated along each of the others, H_1 to H_k; without any it is the
/// gradient of the determinant. Together with a cotangent G it is a form that is linear and symmetric in G and all H_i:
/// hence the cotangents of A and of H_i are the same op along G as well, and along G instead of H_i.
const Op cofactor_op{
    .name = "cofactor",
    .type = [](const Call& call) { return call.type(0); },
    .kernel =
        [](const Call&, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            std::int64_t n = output.shape.back(), count = element_count(batch_of(output.shape));
            visit_floating(output.dtype, [&]<class T>(T) {
                for (std::int64_t i = 0; i < count; ++i) {
                    std::vector<Matrix> matrices;
                    for (const Tensor& input : inputs) {
                        const T* first = input.elements<T>().data() + i * n * n;
                        matrices.emplace_back(first, first + n * n);
                    }
                    Matrix a = std::move(matrices.front());
                    matrices.erase(matrices.begin());
                    std::ranges::transform(cofactors(a, std::move(matrices), n),
                                           result.elements<T>().data() + i * n * n,
                                           [](double element) { return static_cast<T>(element); });
                }
            });
            return std::move(result).freeze();
        },
    .derivative = [](const Rule& rule) -> Var {
        std::vector<Operand> inputs(rule.x.begin(), rule.x.end());
        if (rule.input == 0)
            inputs.push_back(rule.g);
        else
            inputs[rule.input] = rule.g;
        return record(*rule.y.node().op, inputs);
    },
};

const Op det_op{
    .name = "det",
    .type = determinant_type,
    .kernel = kernel_of_factors([](const auto& factors, std::int64_t n) {
        double product = factors.sign();
        for (std::int64_t i = 0; i < n; ++i) product *= static_cast<double>(factors.pivot(i));
        return product;
    }),
    .derivative = [](const Rule& rule) { return over_matrices(rule.g) * record(cofactor_op, {rule.x[0]}); },
};

const Op sign_op{
    .name = "slogdet_sign",
    .type = determinant_type,
    .kernel = kernel_of_factors([](const auto& factors, std::int64_t n) {
        double sign = factors.sign();
        for (std::int64_t i = 0; i < n; ++i) {
            double pivot = static_cast<double>(factors.pivot(i));
            sign *= pivot > 0 ? 1 : pivot < 0 ? -1 : pivot;
        }
        return sign + 0; // that of a singular matrix is 0, not -0
    }),
};

const Op logabsdet_op{
    .name = "slogdet",
    .type = determinant_type,
    .kernel = kernel_of_factors([](const auto& factors, std::int64_t n) {
        double sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += std::log(std::fabs(static_cast<double>(factors.pivot(i))));
        return sum;
    }),
    .derivative = [](const Rule& rule) { return over_matrices(rule.g) * transpose(inv(rule.x[0])); },
};

} // namespace

Var det(Operand a) { return record(det_op, {a}); }

Slogdet slogdet(Operand a) {
    Var logabsdet = record(logabsdet_op, {a});
    return {record(sign_op, {a}), logabsdet};
}

} // namespace cotape

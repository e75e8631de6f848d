#include <cotape/ops/cholesky.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/lapack.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/matrix_batches.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/triangular.hpp>

namespace cotape {
namespace {

Var symmetric_part(Var a) { return 0.5 * (a + transpose(a)); }

/// Reads the lower triangle of symmetric matrices.
const Op cholesky_op{
    .name = "cholesky",
    .type = square_type,
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            std::int64_t n = output.shape.back();
            return changed_matrices(inputs[0], [&]<class T>(T* y, std::int64_t i) {
                if (std::int64_t minor = lapack::cholesky(y, n))
                    throw ValueError(fmt::format("{}: needs positive definite matrices; the leading minor of order {} "
                                                 "of matrix {} of {} is not positive",
                                                 call.name(), minor, i, to_string(output.shape)));
                for (std::int64_t row = 0; row < n; ++row) std::fill(y + row * n + row + 1, y + (row + 1) * n, T(0));
            });
        },
    // Murray 2016, "Differentiation of the Cholesky decomposition": L'^-1 phi(L' G) L^-1, where phi takes the lower
    // triangle with half the diagonal.
    .derivative =
        [](const Rule& rule) {
            Var l = rule.y, product = matmul(l, rule.g, {.transpose_a = true});
            Var phi = 0.5 * (tril(product) + tril(product, -1));
            Var half = solve_triangular(l, phi, {.transpose_a = true});
            return symmetric_part(solve_triangular(l, half, {.left = false}));
        },
};

} // namespace

Var cholesky(Operand a, CholeskyOptions options) {
    LineScope line(a);
    Tape::Transaction transaction(a.var.tape());
    const Shape shape = a.var.shape();
    bool is_square = shape.size() >= 2 && shape.back() == shape[shape.size() - 2] && is_floating(a.var.dtype());
    Var lower = record(cholesky_op, {is_square ? symmetric_part(a.var) : a.var});
    Var result = options.upper ? transpose(lower) : lower;
    transaction.keep();
    return result;
}

Var cholesky_solve(Operand b, Operand factor, CholeskyOptions options) {
    LineScope line(b);
    Tape::Transaction transaction(b.var.tape());
    Var half = solve_triangular(factor, b, {.upper = options.upper, .transpose_a = options.upper});
    Var result = solve_triangular(factor, half, {.upper = options.upper, .transpose_a = !options.upper});
    transaction.keep();
    return result;
}

} // namespace cotape

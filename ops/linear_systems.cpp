#include <cotape/ops/linear_systems.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/lapack.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/matrix_batches.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

/// The factors of matrix `index` of a batch. Throws ValueError where it is singular.
template <class T>
lapack::Lu<T> factors_of(const Call& call, const Tensor& a, std::int64_t index) {
    std::int64_t n = a.shape().back();
    lapack::Lu<T> factors(a.elements<T>().data() + index * n * n, n);
    if (factors.zero_pivot() >= 0)
        throw ValueError(fmt::format("{}: needs invertible matrices; pivot {} of matrix {} of {} is 0", call.name(),
                                     factors.zero_pivot(), index, to_string(a.shape())));
    return factors;
}

Var record_solve(Var a, Var b, bool transpose_a);

const Op solve_op{
    .name = "solve",
    .type = solution_type,
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            return changed_matrices(inputs[1], [&]<class T>(T* b, std::int64_t i) {
                factors_of<T>(call, inputs[0], i).solve(b, output.shape.back(), call.attributes.flag("transpose_a"));
            });
        },
    .derivative =
        [](const Rule& rule) {
            bool transposed = rule.attributes.flag("transpose_a");
            Var of_b = record_solve(rule.x[0], rule.g, !transposed);
            if (rule.input == 1) return of_b;
            return -(transposed ? matmul(rule.y, of_b, {.transpose_b = true})
                                : matmul(of_b, rule.y, {.transpose_b = true}));
        },
};

Var record_solve(Var a, Var b, bool transpose_a) { return record(solve_op, {a, b}, {{"transpose_a", transpose_a}}); }

const Op inv_op{
    .name = "inv",
    .type = square_type,
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            std::int64_t n = output.shape.back();
            return changed_matrices(inputs[0], [&]<class T>(T* y, std::int64_t i) {
                std::fill_n(y, n * n, T(0));
                for (std::int64_t k = 0; k < n; ++k) y[k * n + k] = 1;
                factors_of<T>(call, inputs[0], i).solve(y, n, false);
            });
        },
    .derivative =
        [](const Rule& rule) {
            return -matmul(matmul(rule.y, rule.g, {.transpose_a = true}), rule.y, {.transpose_b = true});
        },
};

} // namespace

Var solve(Operand a, Operand b, SolveOptions options) {
    LineScope line(a);
    Tape::Transaction transaction(a.var.tape());
    const Shape of_a = a.var.shape(), of_b = b.var.shape();
    bool one_less = of_b.size() + 1 == of_a.size() && std::ranges::equal(of_b, Shape(of_a.begin(), of_a.end() - 1));
    bool vectors = of_b.size() == 1 || (one_less && !of_b.empty());
    if (vectors && !options.left)
        throw ShapeError(
            fmt::format("solve: needs matrices on the right-hand side of X A = B, got {}", to_string(of_b)));
    Var sides = vectors ? reshape(b, matrices_shape(Shape(of_b.begin(), of_b.end() - 1), of_b.back(), 1)) : b.var;
    auto [matrices, stretched] = with_common_batch(a, sides, "solve");
    Var result = options.left ? record_solve(matrices, stretched, false)
                              : transpose(record_solve(matrices, transpose(stretched), true));
    if (vectors) result = reshape(result, Shape(result.shape().begin(), result.shape().end() - 1));
    transaction.keep();
    return result;
}

Var inv(Operand a) { return record(inv_op, {a}); }

} // namespace cotape

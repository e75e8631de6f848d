#include <cotape/ops/triangular.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/lapack.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/matrix_batches.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

Type matrices_type(const Call& call) {
    if (call.shape(0).size() < 2)
        throw ShapeError(fmt::format("{}: needs matrices [..., m, n], got {}", call.name(), to_string(call.shape(0))));
    return call.type(0);
}

/// The elements where column - row is on one side of the diagonal.
template <bool lower>
Tensor triangle_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs) {
    MutableTensor result(output);
    std::int64_t diagonal = call.attributes.integer("diagonal");
    std::int64_t columns = output.shape.back(), rows = output.shape[output.shape.size() - 2];
    visit_dtype(output.dtype, [&]<class T>(T) {
        std::span<const T> x = inputs[0].elements<T>();
        std::span<T> y = result.elements<T>();
        for (std::size_t i = 0; i < y.size(); ++i) {
            std::int64_t position = static_cast<std::int64_t>(i);
            std::int64_t above = position % columns - position / columns % rows - diagonal;
            y[i] = (lower ? above <= 0 : above >= 0) ? x[i] : T(0);
        }
    });
    return std::move(result).freeze();
}

const Op tril_op{
    .name = "tril",
    .type = matrices_type,
    .kernel = triangle_kernel<true>,
    .derivative = [](const Rule& rule) { return tril(rule.g, rule.attributes.integer("diagonal")); },
};

const Op triu_op{
    .name = "triu",
    .type = matrices_type,
    .kernel = triangle_kernel<false>,
    .derivative = [](const Rule& rule) { return triu(rule.g, rule.attributes.integer("diagonal")); },
};

Tensor solve_triangular_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs) {
    std::int64_t n = call.shape(0).back();
    return changed_matrices(inputs[1], [&]<class T>(T* b, std::int64_t i) {
        lapack::solve_triangular(inputs[0].elements<T>().data() + i * n * n, n, b, output.shape.back(),
                                 call.attributes.flag("upper"), call.attributes.flag("transpose_a"),
                                 call.attributes.flag("unitriangular"));
    });
}

Var record_solve(Var a, Var b, bool upper, bool transpose_a, bool unitriangular);

/// With A X = B, the cotangent of B is A'^-1 G, and that of A the triangle of minus that times X'.
Var solve_triangular_derivative(const Rule& rule) {
    bool upper = rule.attributes.flag("upper"), transposed = rule.attributes.flag("transpose_a");
    bool unitriangular = rule.attributes.flag("unitriangular");
    Var of_b = record_solve(rule.x[0], rule.g, upper, !transposed, unitriangular);
    if (rule.input == 1) return of_b;
    Var product =
        transposed ? matmul(rule.y, of_b, {.transpose_b = true}) : matmul(of_b, rule.y, {.transpose_b = true});
    return -(upper ? triu(product, unitriangular ? 1 : 0) : tril(product, unitriangular ? -1 : 0));
}

const Op solve_triangular_op{
    .name = "solve_triangular",
    .type = solution_type,
    .kernel = solve_triangular_kernel,
    .derivative = solve_triangular_derivative,
};

Var record_solve(Var a, Var b, bool upper, bool transpose_a, bool unitriangular) {
    return record(solve_triangular_op, {a, b},
                  {{"upper", upper}, {"transpose_a", transpose_a}, {"unitriangular", unitriangular}});
}

} // namespace

Var tril(Operand x, std::int64_t diagonal) { return record(tril_op, {x}, {{"diagonal", diagonal}}); }
Var triu(Operand x, std::int64_t diagonal) { return record(triu_op, {x}, {{"diagonal", diagonal}}); }

Var solve_triangular(Operand a, Operand b, SolveTriangularOptions options) {
    LineScope line(a);
    Tape::Transaction transaction(a.var.tape());
    auto [matrices, sides] = with_common_batch(a, b, "solve_triangular");
    if (!options.left) sides = transpose(sides);
    Var result =
        record_solve(matrices, sides, options.upper, options.transpose_a == options.left, options.unitriangular);
    if (!options.left) result = transpose(result);
    transaction.keep();
    return result;
}

} // namespace cotape

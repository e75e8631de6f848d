#include <cotape/ops/matrix_batches.hpp>

#include <numeric>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/triangular.hpp>

namespace cotape {

void require_square(const Call& call, std::size_t input) {
    const Type& type = call.type(input);
    if (!is_floating(type.dtype))
        throw DtypeError(fmt::format("{}: needs float32 or float64, got {}", call.name(), to_string(type.dtype)));
    if (type.shape.size() < 2 || type.shape.back() != type.shape[type.shape.size() - 2])
        throw ShapeError(
            fmt::format("{}: needs square matrices [..., n, n], got {}", call.name(), to_string(type.shape)));
}

Type square_type(const Call& call) {
    require_square(call);
    return call.type(0);
}

Shape batch_of(const Shape& matrices) { return Shape(matrices.begin(), matrices.end() - 2); }

Shape matrices_shape(Shape batch, std::int64_t rows, std::int64_t columns) {
    batch.push_back(rows);
    batch.push_back(columns);
    return batch;
}

std::pair<Var, Var> with_common_batch(Operand a, Operand b, const std::string& operation) {
    const Shape of_a = a.var.shape(), of_b = b.var.shape();
    if (of_a.size() < 2 || of_b.size() < 2)
        throw ShapeError(fmt::format("{}: needs matrices, got {} and {}", operation, to_string(of_a), to_string(of_b)));
    Shape batch = broadcast(batch_of(of_a), batch_of(of_b), operation);
    return {broadcast_to(a, matrices_shape(batch, of_a[of_a.size() - 2], of_a.back())),
            broadcast_to(b, matrices_shape(batch, of_b[of_b.size() - 2], of_b.back()))};
}

Var identity_like(Var a, std::int64_t n) { return tril(triu(a.tape().full({n, n}, 1, a.dtype()))); }

} // namespace cotape

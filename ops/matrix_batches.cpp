#include <cotape/ops/matrix_batches.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/floating_type.hpp>

namespace cotape {

Type square_type(const Call& call) {
    Type type = floating_type(call);
    if (type.shape.size() < 2 || type.shape.back() != type.shape[type.shape.size() - 2])
        throw ShapeError(
            fmt::format("{}: needs square matrices [..., n, n], got {}", call.name(), to_string(type.shape)));
    return type;
}

Type solution_type(const Call& call) {
    const Type a = square_type(call), &b = call.type(1);
    if (b.dtype != a.dtype)
        throw DtypeError(
            fmt::format("{}: cannot combine {} with {}", call.name(), to_string(a.dtype), to_string(b.dtype)));
    if (b.shape[b.shape.size() - 2] != a.shape.back())
        throw ShapeError(
            fmt::format("{}: cannot solve with {} for {}", call.name(), to_string(a.shape), to_string(b.shape)));
    return b;
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

} // namespace cotape

#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/op.hpp>

namespace cotape {

// What the ops on batches of matrices, [..., rows, columns], share.

/// The type of the first input. Throws DtypeError unless it is floating, ShapeError unless it is [..., n, n].
Type square_type(const Call& call);

/// The type of the X of A X = B, which is that of B. Throws as square_type for A, and where B does not fit it.
Type solution_type(const Call& call);

/// The axes before the last two.
Shape batch_of(const Shape& matrices);

/// A copy of `matrices`, each of which `change(first element, number of the matrix)` works on.
template <class Change>
Tensor changed_matrices(const Tensor& matrices, Change change) {
    const Shape& shape = matrices.shape();
    MutableTensor result(matrices.type());
    std::int64_t count = element_count(batch_of(shape)), size = shape[shape.size() - 2] * shape.back();
    visit_floating(matrices.dtype(), [&]<class T>(T) {
        std::ranges::copy(matrices.elements<T>(), result.elements<T>().begin());
        for (std::int64_t i = 0; i < count; ++i) change(result.elements<T>().data() + i * size, i);
    });
    return std::move(result).freeze();
}

/// `batch` followed by two more extents.
Shape matrices_shape(Shape batch, std::int64_t rows, std::int64_t columns);

/// Both stretched to the batch that their batches broadcast to. Throws ShapeError, naming `operation`, where they do
/// not, or where either has less than two axes.
std::pair<Var, Var> with_common_batch(Operand a, Operand b, const std::string& operation);

} // namespace cotape

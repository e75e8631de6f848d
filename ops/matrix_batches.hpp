#pragma once

#include <functional>
#include <string>
#include <utility>

#include <cotape/core/op.hpp>

namespace cotape {

// What the ops on batches of matrices, [..., rows, columns], share.

/// Throws DtypeError unless input `input` is floating, ShapeError unless it is [..., n, n].
void require_square(const Call& call, std::size_t input = 0);

/// The type of matrices that become as many of the same shape. Throws as require_square.
Type square_type(const Call& call);

/// The axes before the last two.
Shape batch_of(const Shape& matrices);

/// `batch` followed by two more extents.
Shape matrices_shape(Shape batch, std::int64_t rows, std::int64_t columns);

/// Both stretched to the batch that their batches broadcast to. Throws ShapeError, naming `operation`, where they do
/// not, or where either has less than two axes.
std::pair<Var, Var> with_common_batch(Operand a, Operand b, const std::string& operation);

/// The identity, n by n.
Var identity_like(Var a, std::int64_t n);

} // namespace cotape

#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// The elements of matrices [..., m, n] on and below a diagonal, 0 above; `diagonal` counts from the main one upwards.
/// Throws ShapeError below rank 2.
Var tril(Operand x, std::int64_t diagonal = 0);
/// The elements on and above a diagonal, 0 below.
Var triu(Operand x, std::int64_t diagonal = 0);

struct SolveTriangularOptions {
    /// Which triangle of the matrices is read; the other one is taken as 0.
    bool upper = false;
    /// Solve with the transpose of that triangle.
    bool transpose_a = false;
    /// Solve X A = B instead of A X = B.
    bool left = true;
    /// Take the diagonal as 1 instead of reading it.
    bool unitriangular = false;
};

/// The X of A X = B for triangular matrices A [..., n, n] and B [..., n, k]; leading axes broadcast. Infinite or NaN
/// where there is a 0 on the diagonal. Throws ShapeError for shapes that do not fit.
Var solve_triangular(Operand a, Operand b, SolveTriangularOptions options = {});

} // namespace cotape

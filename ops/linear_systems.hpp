#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

struct SolveOptions {
    /// Solve X A = B instead of A X = B.
    bool left = true;
};

/// The X of A X = B for invertible matrices A [..., n, n] and B [..., n, k]; leading axes broadcast. A B of one axis,
/// or of A's shape without its last axis, holds vectors [..., n], and so does X then. Throws ShapeError for shapes that
/// do not fit; ValueError, when the value is computed, for a matrix with a pivot that is exactly 0.
Var solve(Operand a, Operand b, SolveOptions options = {});

/// The inverses of matrices [..., n, n]. To multiply with an inverse, solve is faster and more accurate. Throws
/// ShapeError for other shapes; ValueError, when the value is computed, for a matrix with a pivot that is exactly 0.
Var inv(Operand a);

} // namespace cotape

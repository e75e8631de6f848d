#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

struct CholeskyOptions {
    /// The upper factor U of A = U' U instead of the lower L of A = L L'.
    bool upper = false;
};

/// The Cholesky factors of symmetric positive definite matrices [..., n, n]. What is factored is (A + A') / 2, so that
/// the cotangent is symmetric, and right along every direction. Throws ShapeError for other shapes; ValueError, when
/// the value is computed, for a matrix that is not positive definite.
Var cholesky(Operand a, CholeskyOptions options = {});

/// The X of A X = B from the Cholesky factors [..., n, n] of A, of which one triangle is read, and B [..., n, k];
/// leading axes broadcast. Throws ShapeError for shapes that do not fit.
Var cholesky_solve(Operand b, Operand factor, CholeskyOptions options = {});

} // namespace cotape

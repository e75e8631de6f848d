#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// The determinants of matrices [..., n, n], of shape [...]; 1 for n = 0. Its derivatives are right for singular
/// matrices too: they are sums of minors, which nothing is divided for; the one of order m costs n^m operations,
/// besides singular value decompositions. Throws ShapeError for other shapes.
Var det(Operand a);

/// The sign of a determinant, which has no derivative, and the logarithm of its absolute value.
struct Slogdet {
    Var sign;
    Var logabsdet;
};

/// The determinants of matrices [..., n, n] where they would overflow: 0 and -infinity for a singular one. The
/// logarithm has no derivative there: asking for it throws ValueError when it is computed. Throws ShapeError for other
/// shapes.
Slogdet slogdet(Operand a);

} // namespace cotape

#pragma once

#include <cstdint>

#include <cotape/core/var.hpp>

namespace cotape {

/// How a Jacobian is put together.
enum class JacobianMode : std::uint8_t {
    automatic, ///< the one with fewer passes; reverse where they are as many
    forward,   ///< one jvp for each element of x
    reverse,   ///< one vjp for each element of y
};

struct JacobianOptions {
    JacobianMode mode = JacobianMode::automatic;
};

/// The derivative of every element of `y` with respect to every element of `x`, of shape y.shape + x.shape: a Var like
/// any other, recorded on the same tape, which can be differentiated again. Zero where `y` does not depend on `x`.
/// Throws DtypeError unless both are float32 or both float64, TapeError where they are on two tapes.
Var jacobian(Var y, Var x, JacobianOptions options = {});

/// The second derivatives of every element of `y`, of shape y.shape + x.shape + x.shape; x.shape + x.shape for a
/// scalar. The Jacobian of the Jacobian, with the same errors.
Var hessian(Var y, Var x);

} // namespace cotape

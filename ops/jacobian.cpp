#include <cotape/ops/jacobian.hpp>

#include <vector>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

void require_floating(Var y, Var x, const char* name) {
    if (y.dtype() != x.dtype() || !is_floating(x.dtype()))
        throw DtypeError(fmt::format("{}: needs y and x both float32 or both float64, got {} and {}", name,
                                     to_string(y.type()), to_string(x.type())));
    if (&y.tape() != &x.tape()) throw TapeError(fmt::format("{}: y and x are on two tapes", name));
}

/// 1 at a row-major position of the type of `like`, 0 elsewhere.
Var unit(Var like, std::int64_t position) {
    Var label = like.tape().full({}, static_cast<double>(position), Dtype::int64);
    return reshape(one_hot(label, element_count(like.shape()), like.dtype()), like.shape());
}

} // namespace

Var jacobian(Var y, Var x, JacobianOptions options) {
    require_floating(y, x, "jacobian");
    Tape& tape = y.tape();
    Tape::Transaction transaction(tape);
    DerivativeScope scope(tape, y.id());
    std::int64_t outputs = element_count(y.shape()), inputs = element_count(x.shape());
    bool fewer_forward = inputs < outputs;
    bool forward = options.mode == JacobianMode::automatic ? fewer_forward : options.mode == JacobianMode::forward;

    Shape shape = y.shape();
    shape.append(x.shape().begin(), x.shape().end());
    std::vector<Operand> passes;
    if (forward)
        for (std::int64_t i = 0; i < inputs; ++i) passes.push_back(reshape(jvp(y, x, unit(x, i)), {outputs}));
    else
        for (std::int64_t i = 0; i < outputs; ++i) passes.push_back(reshape(vjp(y, x, unit(y, i)), {inputs}));
    Var result = passes.empty() ? tape.full(shape, 0, y.dtype()) : reshape(stack(passes, forward ? 1 : 0), shape);
    transaction.keep();
    return result;
}

Var hessian(Var y, Var x) {
    require_floating(y, x, "hessian");
    Tape::Transaction transaction(y.tape());
    Var result = jacobian(jacobian(y, x), x);
    transaction.keep();
    return result;
}

} // namespace cotape

#include <cotape/ops/broadcasting.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

Type broadcast_to_type(const Call& call) {
    Shape shape = call.attributes.integers("shape");
    if (!(broadcast(call.shape(0), shape, call.name()) == shape))
        throw ShapeError(fmt::format("broadcast_to: cannot stretch {} to {}", to_string(call.shape(0)), to_string(shape)));
    return {shape, call.type(0).dtype};
}

/// The identity, element by element, over a shape of its own.
const Op broadcast_to_op = [] {
    Op op = elementwise(
        "broadcast_to", [](auto x) { return x; },
        [](Var, Var g, Var) { return g; });
    op.type = broadcast_to_type;
    return op;
}();

} // namespace

Var broadcast_to(Operand x, const Shape& shape) {
    if (x.var.shape() == shape) return x.var;
    return record(broadcast_to_op, {x}, {{"shape", shape}});
}

Var sum_to(Operand x, const Shape& shape) {
    const Shape from = x.var.shape();
    if (from == shape) return x.var;
    LineScope line(x);
    if (!(broadcast(from, shape, "sum_to") == from))
        throw ShapeError(fmt::format("sum_to: {} does not stretch to {}", to_string(shape), to_string(from)));
    Shape axes;
    std::size_t added = from.size() - shape.size();
    for (std::size_t i = 0; i < from.size(); ++i)
        if (i < added || shape[i - added] != from[i]) axes.push_back(static_cast<std::int64_t>(i));
    return reshape(sum(x, axes), shape);
}

} // namespace cotape

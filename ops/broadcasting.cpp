#include <cotape/ops/broadcasting.hpp>

#include <vector>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/products.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

Type broadcast_to_type(const Call& call) {
    Shape shape = call.attributes.integers("shape");
    if (!(broadcast(call.shape(0), shape, call.name()) == shape))
        throw ShapeError(
            fmt::format("broadcast_to: cannot stretch {} to {}", to_string(call.shape(0)), to_string(shape)));
    return {shape, call.type(0).dtype};
}

/// The identity, element by element, over a shape of its own.
const Op broadcast_to_op = [] {
    Op op = elementwise(
        "broadcast_to", [](auto x) { return x; },
        [](Var, Var g, Var) { return g; });
    op.type = broadcast_to_type;
    op.stretches = true;
    return op;
}();

/// A product taken apart: the factors that are the same for all elements that go into one sum, and the rest.
struct Split {
    Var rest;
    std::vector<Var> constant;
    bool negative = false;
};

/// The last `rank` extents, where all before them are 1.
Shape last_axes(const Shape& shape, std::size_t rank) {
    return shape.size() <= rank ? shape : Shape(shape.end() - rank, shape.end());
}

/// How deep products are taken apart.
constexpr int most_levels = 4;

/// Takes apart what is to be summed from `from` down to `shape`. Without a constant factor, `rest` is x itself.
Split split_product(Var x, const Shape& from, const Shape& shape, int level = 0) {
    const Node& node = x.node();
    auto extent = [](const Shape& of, std::size_t from_the_end) {
        return from_the_end <= of.size() ? of[of.size() - from_the_end] : 1;
    };
    bool constant = true;
    for (std::size_t i = 1; i <= from.size(); ++i)
        constant = constant && (extent(shape, i) == extent(from, i) || extent(x.shape(), i) == 1);
    if (constant) return {Var(), {x}};
    if (level == most_levels || (node.op != &multiply_op && node.op != &negate_op)) return {x, {}};
    Split split = split_product(x.tape().var(node.inputs[0]), from, shape, level + 1);
    if (node.op == &negate_op) {
        split.negative = !split.negative;
        return split;
    }
    Split other = split_product(x.tape().var(node.inputs[1]), from, shape, level + 1);
    if (split.constant.empty() && other.constant.empty() && split.negative == other.negative && !split.negative)
        return {x, {}};
    split.rest = !split.rest ? other.rest : !other.rest ? split.rest : split.rest * other.rest;
    split.constant.insert(split.constant.end(), other.constant.begin(), other.constant.end());
    split.negative = split.negative != other.negative;
    return split;
}

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
    Split split = split_product(x.var, from, shape);
    if (split.rest && !is_same(split.rest, x.var) && split.rest.shape() == from) {
        Var total = sum_to(split.rest, shape);
        for (Var factor : split.constant) total = total * reshape(factor, last_axes(factor.shape(), shape.size()));
        return split.negative ? -total : total;
    }
    Shape axes;
    std::size_t added = from.size() - shape.size();
    for (std::size_t i = 0; i < from.size(); ++i)
        if (i < added || shape[i - added] != from[i]) axes.push_back(static_cast<std::int64_t>(i));
    return reshape(sum(x, axes), shape);
}

} // namespace cotape

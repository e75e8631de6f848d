#include <cotape/ops/broadcasting.hpp>

#include <cstring>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/broadcast_reader.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

const Op broadcast_to_op{
    .name = "broadcast_to",
    .type =
        [](const Call& call) {
            Shape shape = call.attributes.integers("shape");
            if (!(broadcast(call.shape(0), shape, call.name()) == shape))
                throw ShapeError(fmt::format("broadcast_to: cannot stretch {} to {}", to_string(call.shape(0)),
                                             to_string(shape)));
            return Type{shape, call.type(0).dtype};
        },
    .kernel =
        [](const Call&, const Type& output, std::span<const Tensor> inputs) {
            constexpr std::int64_t run = 4096;
            MutableTensor result(output);
            BroadcastReader reader(inputs[0], output.shape);
            std::int64_t element_size = static_cast<std::int64_t>(size_of(output.dtype));
            for (std::int64_t begin = 0; begin < result.size(); begin += run) {
                std::int64_t count = std::min(run, result.size() - begin);
                std::memcpy(result.bytes() + begin * element_size, reader.read(begin, count),
                            static_cast<std::size_t>(count * element_size));
            }
            return std::move(result).freeze();
        },
    .derivative = [](const Rule& rule) { return sum_to(rule.g, rule.x[0].shape()); },
};

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

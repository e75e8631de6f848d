#include <cotape/ops/shaping.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/strided_copy.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

const Op reshape_op{
    .name = "reshape",
    .type = [](const Call& call) { return Type{call.attributes.integers("shape"), call.type(0).dtype}; },
    .kernel = [](const Call&, const Type& output,
                 std::span<const Tensor> inputs) { return inputs[0].reshaped(output.shape); },
    .derivative = [](const Rule& rule) { return reshape(rule.g, rule.x[0].shape()); },
    .kind = OpKind::view,
};

const Op permute_op{
    .name = "permute",
    .type =
        [](const Call& call) {
            Type type = call.type(0);
            Shape order = call.attributes.integers("order");
            for (std::size_t i = 0; i < order.size(); ++i)
                type.shape[i] = call.shape(0)[static_cast<std::size_t>(order[i])];
            return type;
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            Shape order = call.attributes.integers("order"), dense = dense_strides(inputs[0].shape()), strides;
            for (std::int64_t axis : order) strides.push_back(dense[static_cast<std::size_t>(axis)]);
            copy_strided(output.shape, {inputs[0].bytes_begin(), strides},
                         {result.bytes(), dense_strides(output.shape)}, size_of(output.dtype));
            return std::move(result).freeze();
        },
    .derivative =
        [](const Rule& rule) {
            Shape order = rule.attributes.integers("order"), inverse(order.size());
            for (std::size_t i = 0; i < order.size(); ++i)
                inverse[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
            return permute(rule.g, inverse);
        },
};

/// `x` placed at `begin`, `begin + step`, ... along `axis` of a tensor that holds `value` elsewhere.
Var embed(Operand x, std::int64_t axis, std::int64_t begin, std::int64_t step, std::int64_t extent, double value);

View slice_view(const Call& call) {
    std::size_t axis = static_cast<std::size_t>(call.attributes.integer("axis"));
    Shape strides = dense_strides(call.shape(0));
    std::int64_t offset = call.attributes.integer("begin") * strides[axis];
    strides[axis] *= call.attributes.integer("step");
    return {offset, strides};
}

const Op slice_op{
    .name = "slice",
    .type =
        [](const Call& call) {
            Type type = call.type(0);
            std::int64_t length = call.attributes.integer("end") - call.attributes.integer("begin");
            std::int64_t step = call.attributes.integer("step");
            type.shape[static_cast<std::size_t>(call.attributes.integer("axis"))] = (length + step - 1) / step;
            return type;
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            View view = slice_view(call);
            if (is_dense(view, output.shape)) return inputs[0].part(view.offset, output.shape);
            MutableTensor result(output);
            const std::byte* first =
                inputs[0].bytes_begin() + view.offset * static_cast<std::int64_t>(size_of(output.dtype));
            copy_strided(output.shape, {first, view.strides}, {result.bytes(), dense_strides(output.shape)},
                         size_of(output.dtype));
            return std::move(result).freeze();
        },
    .derivative =
        [](const Rule& rule) {
            std::int64_t axis = rule.attributes.integer("axis");
            return embed(rule.g, axis, rule.attributes.integer("begin"), rule.attributes.integer("step"),
                         rule.x[0].shape()[static_cast<std::size_t>(axis)], 0);
        },
    .view = slice_view,
};

/// As one concatenation, where the pads put what they pad side by side into zeros: the cotangent of what was sliced up.
Var sum_of_pads(std::span<const Var> pads) {
    std::vector<Var> ordered(pads.begin(), pads.end());
    auto begin = [](Var pad) { return pad.node().attributes.integer("begin"); };
    std::ranges::stable_sort(ordered, {}, begin);
    Tape& tape = pads[0].tape();
    std::int64_t axis = pads[0].node().attributes.integer("axis"), filled = 0;
    std::size_t along = static_cast<std::size_t>(axis);
    Shape shape = pads[0].shape();
    std::int64_t extent = shape[along];
    std::vector<Operand> pieces;
    auto fill_to = [&](std::int64_t position) {
        shape[along] = position - filled;
        if (filled < position) pieces.emplace_back(tape.full(shape, 0, pads[0].dtype()));
    };
    for (Var pad : ordered) {
        const Attributes& attributes = pad.node().attributes;
        bool is_block = attributes.integer("step") == 1 && attributes.real("value") == 0;
        if (!is_block || attributes.integer("axis") != axis || begin(pad) < filled) return Var();
        fill_to(begin(pad));
        pieces.emplace_back(tape.var(pad.node().inputs[0]));
        filled = begin(pad) + pieces.back().var.shape()[along];
    }
    fill_to(extent);
    return concatenate(pieces, axis);
}

const Op embed_op{
    .name = "pad",
    .type =
        [](const Call& call) {
            Type type = call.type(0);
            type.shape[static_cast<std::size_t>(call.attributes.integer("axis"))] = call.attributes.integer("extent");
            return type;
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            visit_dtype(output.dtype, [&]<class T>(T) {
                std::ranges::fill(result.elements<T>(), static_cast<T>(call.attributes.real("value")));
            });
            std::size_t axis = static_cast<std::size_t>(call.attributes.integer("axis"));
            Shape strides = dense_strides(output.shape);
            std::int64_t offset = call.attributes.integer("begin") * strides[axis];
            strides[axis] *= call.attributes.integer("step");
            copy_into(result, inputs[0], {offset, strides});
            return std::move(result).freeze();
        },
    .derivative =
        [](const Rule& rule) {
            std::int64_t axis = rule.attributes.integer("axis"), begin = rule.attributes.integer("begin");
            std::int64_t step = rule.attributes.integer("step");
            std::int64_t count = rule.x[0].shape()[static_cast<std::size_t>(axis)];
            return slice(rule.g, axis, begin, count == 0 ? begin : begin + (count - 1) * step + 1, step);
        },
    .sum = sum_of_pads,
};

Var embed(Operand x, std::int64_t axis, std::int64_t begin, std::int64_t step, std::int64_t extent, double value) {
    return record(embed_op, {x},
                  {{"axis", axis}, {"begin", begin}, {"step", step}, {"extent", extent}, {"value", value}});
}

std::vector<View> places_in_concatenation(const Call& call) {
    std::size_t axis = static_cast<std::size_t>(call.attributes.integer("axis"));
    Shape whole = call.op.type(call).shape, strides = dense_strides(whole);
    std::vector<View> places;
    std::int64_t offset = 0;
    for (const Type* input : call.inputs) {
        places.push_back({offset, strides});
        offset += input->shape[axis] * strides[axis];
    }
    return places;
}

const Op concatenate_op{
    .name = "concatenate",
    .type =
        [](const Call& call) {
            Type type = call.type(0);
            std::size_t axis = static_cast<std::size_t>(call.attributes.integer("axis"));
            for (std::size_t i = 1; i < call.inputs.size(); ++i) {
                Shape other = call.shape(i);
                if (call.type(i).dtype != type.dtype)
                    throw DtypeError(fmt::format("concatenate: cannot join {} and {}", to_string(type.dtype),
                                                 to_string(call.type(i).dtype)));
                std::int64_t extent = axis < other.size() ? other[axis] : 0;
                if (axis < other.size()) other[axis] = type.shape[axis];
                if (!(other == type.shape))
                    throw ShapeError(fmt::format("concatenate: cannot join {} and {} along axis {}",
                                                 to_string(call.shape(0)), to_string(call.shape(i)), axis));
                type.shape[axis] += extent;
            }
            return type;
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            std::vector<View> places = places_in_concatenation(call);
            for (std::size_t i = 0; i < inputs.size(); ++i) copy_into(result, inputs[i], places[i]);
            return std::move(result).freeze();
        },
    .derivative =
        [](const Rule& rule) {
            std::int64_t axis = rule.attributes.integer("axis"), begin = 0;
            auto extent = [&](std::size_t i) { return rule.x[i].shape()[static_cast<std::size_t>(axis)]; };
            for (std::size_t i = 0; i < rule.input; ++i) begin += extent(i);
            return slice(rule.g, axis, begin, begin + extent(rule.input));
        },
    .placement = places_in_concatenation,
};

} // namespace

Var reshape(Operand x, const Shape& shape) {
    Shape resolved = shape;
    std::int64_t known = 1, count = element_count(x.var.shape());
    std::int64_t* inferred = nullptr;
    bool overflows = false;
    for (std::int64_t& extent : resolved) {
        if (extent != -1)
            overflows = __builtin_mul_overflow(known, extent, &known) || overflows;
        else if (!inferred)
            inferred = &extent;
        else
            throw ShapeError(fmt::format("reshape: only one extent can be -1, got {}", to_string(shape)));
    }
    if (inferred && !overflows && known > 0 && count % known == 0) {
        *inferred = count / known;
        known = count;
    }
    if (overflows || known != count || std::ranges::any_of(resolved, [](std::int64_t extent) { return extent < 0; }))
        throw ShapeError(fmt::format("reshape: cannot make {} of {}", to_string(shape), to_string(x.var.shape())));
    if (resolved == x.var.shape()) return x.var;
    return record(reshape_op, {x}, {{"shape", resolved}});
}

Var flatten(Operand x, std::int64_t start, std::int64_t end) {
    const Shape shape = x.var.shape();
    std::size_t rank = std::max<std::size_t>(1, shape.size());
    auto first = normalize_axis(start, rank, "flatten"), last = normalize_axis(end, rank, "flatten");
    if (first > last)
        throw ShapeError(fmt::format("flatten: cannot merge axes {} to {} of {}", start, end, to_string(shape)));
    if (shape.empty()) return reshape(x, {1});
    Shape merged(shape.begin(), shape.begin() + first);
    merged.push_back(element_count(Shape(shape.begin() + first, shape.begin() + last + 1)));
    merged.append(shape.begin() + last + 1, shape.end());
    return reshape(x, merged);
}

Var permute(Operand x, const Shape& order) {
    Shape normalized, sorted;
    for (std::int64_t axis : order) normalized.push_back(normalize_axis(axis, x.var.shape().size(), "permute"));
    sorted = normalized;
    std::ranges::sort(sorted);
    if (order.size() != x.var.shape().size() || std::ranges::adjacent_find(sorted) != sorted.end())
        throw ShapeError(fmt::format("permute: needs each of the {} axes once, got {}", x.var.shape().size(),
                                     to_string(order)));
    if (normalized == sorted) return x.var;
    return record(permute_op, {x}, {{"order", normalized}});
}

Var transpose(Operand x) {
    std::int64_t rank = static_cast<std::int64_t>(x.var.shape().size());
    if (rank < 2) throw ShapeError(fmt::format("transpose: needs at least two axes, got {}", to_string(x.var.shape())));
    Shape order;
    for (std::int64_t i = 0; i < rank - 2; ++i) order.push_back(i);
    order.push_back(rank - 1);
    order.push_back(rank - 2);
    return permute(x, order);
}

Var slice(Operand x, std::int64_t axis, std::int64_t begin, std::int64_t end, std::int64_t step) {
    const Shape& shape = x.var.shape();
    axis = normalize_axis(axis, shape.size(), "slice");
    std::int64_t extent = shape[static_cast<std::size_t>(axis)];
    std::int64_t first = begin < 0 ? begin + extent : begin, last = end < 0 ? end + extent : end;
    if (first < 0 || first > last || last > extent || step < 1)
        throw ShapeError(fmt::format("slice: cannot take {} to {} by {} of the {} elements along axis {} of {}", begin,
                                     end, step, extent, axis, to_string(shape)));
    step = std::min(step, std::max<std::int64_t>(1, last - first));
    if (first == 0 && last == extent && step == 1) return x.var;
    return record(slice_op, {x}, {{"axis", axis}, {"begin", first}, {"end", last}, {"step", step}});
}

Var pad(Operand x, const Shape& before, const Shape& after, double value) {
    require_representable(value, x.var.dtype(), "pad");
    LineScope line(x);
    Var padded = x.var;
    const Shape shape = padded.shape();
    bool negative = std::ranges::any_of(before, [](std::int64_t n) { return n < 0; }) ||
                    std::ranges::any_of(after, [](std::int64_t n) { return n < 0; });
    if (before.size() != shape.size() || after.size() != shape.size() || negative)
        throw ShapeError(fmt::format("pad: needs two counts of at least 0 for each axis of {}, got {} and {}",
                                     to_string(shape), to_string(before), to_string(after)));
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (before[i] == 0 && after[i] == 0) continue;
        std::int64_t extent = 0;
        if (__builtin_add_overflow(before[i], shape[i], &extent) || __builtin_add_overflow(extent, after[i], &extent))
            throw ShapeError(fmt::format("pad: {} padded by {} and {} cannot be addressed", to_string(shape),
                                         to_string(before), to_string(after)));
        padded = embed(padded, static_cast<std::int64_t>(i), before[i], 1, extent, value);
    }
    return padded;
}

Var concatenate(const std::vector<Operand>& inputs, std::int64_t axis) {
    if (inputs.empty()) throw ShapeError("concatenate: needs at least one input");
    for (const Operand& input : inputs)
        if (!input.var) throw TapeError("concatenate: its inputs must be variables");
    axis = normalize_axis(axis, inputs.front().var.shape().size(), "concatenate");
    if (inputs.size() == 1) return inputs.front().var;
    return record(concatenate_op, inputs, {{"axis", axis}});
}

Var stack(const std::vector<Operand>& inputs, std::int64_t axis) {
    if (inputs.empty()) throw ShapeError("stack: needs at least one input");
    for (const Operand& input : inputs)
        if (!input.var) throw TapeError("stack: its inputs must be variables");
    const Shape shape = inputs.front().var.shape();
    axis = normalize_axis(axis, shape.size() + 1, "stack");
    Shape expanded(shape.begin(), shape.begin() + axis);
    expanded.push_back(1);
    expanded.append(shape.begin() + axis, shape.end());
    for (const Operand& input : inputs)
        if (!(input.var.shape() == shape))
            throw ShapeError(
                fmt::format("stack: cannot stack {} on {}", to_string(input.var.shape()), to_string(shape)));

    LineScope line(inputs.front());
    std::vector<Operand> layers;
    for (const Operand& input : inputs) layers.push_back({reshape(input, expanded), input.where});
    return concatenate(layers, axis);
}

} // namespace cotape

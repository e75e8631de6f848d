#include <cotape/ops/indexing.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>
#include <cotape/ops/floating_type.hpp>

namespace cotape {
namespace {

void require_indices(const Call& call, std::size_t input) {
    if (call.type(input).dtype != Dtype::int64)
        throw DtypeError(fmt::format("{}: needs int64 positions, got {}", call.name(),
                                     to_string(call.type(input).dtype)));
}

std::size_t checked_index(const std::string& operation, std::span<const std::int64_t> indices, std::size_t i,
                          std::int64_t count, const char* of_what) {
    if (indices[i] < 0 || indices[i] >= count)
        throw ValueError(fmt::format("{}: {} at position {} is outside the {} {}", operation, indices[i], i, count,
                                     of_what));
    return static_cast<std::size_t>(indices[i]);
}

const Op take_op{
    .name = "take",
    .type =
        [](const Call& call) {
            require_indices(call, 1);
            if (call.shape(0).empty()) throw ShapeError("take: needs at least one axis, got a scalar");
            Shape shape = call.shape(1);
            shape.append(call.shape(0).begin() + 1, call.shape(0).end());
            return Type{shape, call.type(0).dtype};
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            std::span<const std::int64_t> indices = inputs[1].elements<std::int64_t>();
            std::int64_t rows = inputs[0].shape()[0];
            std::size_t row_bytes = rows == 0 ? 0 : inputs[0].bytes() / static_cast<std::size_t>(rows);
            for (std::size_t i = 0; i < indices.size(); ++i)
                std::copy_n(inputs[0].bytes_begin() + checked_index(call.name(), indices, i, rows, "rows") * row_bytes,
                            row_bytes, result.bytes() + i * row_bytes);
            return std::move(result).freeze();
        },
    .derivative =
        [](const Rule& rule) {
            return rule.input == 0 ? scatter_add(rule.g, rule.x[1], rule.x[0].shape()[0]) : Var();
        },
};

const Op scatter_add_op{
    .name = "scatter_add",
    .type =
        [](const Call& call) {
            require_indices(call, 1);
            const Shape &entries = call.shape(0), &indices = call.shape(1);
            require_floating(call.type(0).dtype, call.name());
            if (entries.size() < indices.size() || !std::equal(indices.begin(), indices.end(), entries.begin()))
                throw ShapeError(fmt::format("scatter_add: entries {} do not begin with the shape of the indices {}",
                                             to_string(entries), to_string(indices)));
            Shape shape{call.attributes.integer("rows")};
            shape.append(entries.begin() + indices.size(), entries.end());
            return Type{shape, call.type(0).dtype};
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            std::span<const std::int64_t> indices = inputs[1].elements<std::int64_t>();
            std::int64_t rows = output.shape[0];
            visit_floating(output.dtype, [&]<class T>(T) {
                std::span<T> sums = result.elements<T>();
                std::ranges::fill(sums, T(0));
                std::span<const T> entries = inputs[0].elements<T>();
                std::size_t width = indices.empty() ? 0 : entries.size() / indices.size();
                for (std::size_t i = 0; i < indices.size(); ++i) {
                    T* row = sums.data() + checked_index(call.name(), indices, i, rows, "rows") * width;
                    for (std::size_t k = 0; k < width; ++k) row[k] += entries[i * width + k];
                }
            });
            return std::move(result).freeze();
        },
    .derivative = [](const Rule& rule) { return rule.input == 0 ? take(rule.g, rule.x[1]) : Var(); },
};

const Op one_hot_op{
    .name = "one_hot",
    .type =
        [](const Call& call) {
            require_indices(call, 0);
            Shape shape = call.shape(0);
            shape.push_back(call.attributes.integer("classes"));
            return Type{shape, static_cast<Dtype>(call.attributes.integer("dtype"))};
        },
    .kernel =
        [](const Call& call, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            std::span<const std::int64_t> labels = inputs[0].elements<std::int64_t>();
            std::int64_t classes = output.shape.back();
            visit_floating(output.dtype, [&]<class T>(T) {
                std::span<T> mask = result.elements<T>();
                std::ranges::fill(mask, T(0));
                for (std::size_t i = 0; i < labels.size(); ++i)
                    mask[i * static_cast<std::size_t>(classes) +
                         checked_index(call.name(), labels, i, classes, "classes")] = 1;
            });
            return std::move(result).freeze();
        },
};

} // namespace

Var take(Operand x, Operand indices) { return record(take_op, {x, indices}); }

Var scatter_add(Operand x, Operand indices, std::int64_t rows) {
    if (rows < 0) throw ShapeError(fmt::format("scatter_add: needs at least 0 rows, got {}", rows));
    return record(scatter_add_op, {x, indices}, {{"rows", rows}});
}

Var one_hot(Operand labels, std::int64_t classes, Dtype dtype) {
    if (classes < 1) throw ShapeError(fmt::format("one_hot: needs at least one class, got {}", classes));
    if (!is_floating(dtype)) throw DtypeError("one_hot: gives float32 or float64, asked for int64");
    return record(one_hot_op, {labels}, {{"classes", classes}, {"dtype", static_cast<std::int64_t>(dtype)}});
}

} // namespace cotape

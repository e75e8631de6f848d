#include <cotape/ops/elementwise.hpp>

#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <omp.h>

#include <cotape/core/broadcast_reader.hpp>
#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/failure.hpp>
#include <cotape/core/node.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/floating_type.hpp>

namespace cotape::detail {
namespace {

constexpr std::int64_t tile_size = 1024;
/// Below this many elements, starting threads costs more than they save.
constexpr std::int64_t parallel_size = 64 * 1024;

} // namespace

Type elementwise_type(const Call& call, std::size_t operands) {
    if (call.inputs.size() != operands)
        throw ShapeError(fmt::format("{}: takes {} operands, got {}", call.name(), operands, call.inputs.size()));
    require_floating(call.type(0).dtype, call.name());
    Type type = call.type(0);
    for (std::size_t i = 1; i < call.inputs.size(); ++i) {
        if (call.type(i) == call.type(0)) continue;
        if (call.type(i).dtype != type.dtype)
            throw DtypeError(fmt::format("{}: cannot combine {} with {}", call.name(), to_string(type.dtype),
                                         to_string(call.type(i).dtype)));
        type.shape = broadcast(type.shape, call.shape(i), call.name());
    }
    return type;
}

Tensor elementwise_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs) {
    MutableTensor result(output);
    TileKernel kernel = output.dtype == Dtype::float32 ? call.op.tile_float32 : call.op.tile_float64;
    std::int64_t count = result.size();
    std::size_t element_size = size_of(output.dtype);

    bool same_shapes = std::ranges::all_of(inputs, [&](const Tensor& input) { return input.size() == count; });
    if (same_shapes && count <= tile_size) {
        SmallVector<const void*, 4> pointers;
        for (const Tensor& input : inputs) pointers.push_back(input.bytes_begin());
        SmallVector<std::int64_t, 4> distances(inputs.size() + 1);
        kernel(pointers.data(), result.bytes(), {1, static_cast<std::size_t>(count), distances.data()});
        return std::move(result).freeze();
    }

    std::vector<BroadcastPattern> patterns;
    std::vector<BroadcastReader> readers;
    patterns.reserve(inputs.size());
    for (const Tensor& input : inputs) {
        patterns.emplace_back(input.shape(), View{0, dense_strides(input.shape())}, output.shape, output.dtype);
        readers.emplace_back(patterns.back(), input.bytes_begin());
    }
    int threads = count >= parallel_size ? omp_get_max_threads() : 1;
    std::vector<std::vector<BroadcastReader>> readers_of_thread(static_cast<std::size_t>(threads), readers);
    std::size_t tile_bytes = static_cast<std::size_t>(tile_size) * element_size;
    std::shared_ptr<std::byte> buffers = allocate_buffer(readers_of_thread.size() * inputs.size() * tile_bytes);
    std::byte* buffer = buffers.get();
    for (std::vector<BroadcastReader>& own : readers_of_thread)
        for (BroadcastReader& reader : own) {
            reader.expand_into(buffer);
            buffer += tile_bytes;
        }
    Failure failure;
#pragma omp parallel num_threads(threads)
    {
        std::vector<BroadcastReader>& own = readers_of_thread[static_cast<std::size_t>(omp_get_thread_num())];
        SmallVector<const void*, 8> pointers(own.size());
        SmallVector<std::int64_t, 8> distances(own.size() + 1);
#pragma omp for
        for (std::int64_t begin = 0; begin < count; begin += tile_size)
            failure.attempt([&] {
                std::int64_t length = std::min(tile_size, count - begin);
                for (std::size_t i = 0; i < own.size(); ++i) pointers[i] = own[i].read(begin, length);
                kernel(pointers.data(), result.bytes() + static_cast<std::size_t>(begin) * element_size,
                       {1, static_cast<std::size_t>(length), distances.data()});
            });
    }
    failure.rethrow();
    return std::move(result).freeze();
}

Var sum_to_input(const Rule& rule, Var cotangent) {
    const Shape& input = rule.x[rule.input].shape();
    if (!cotangent || cotangent.shape() == input) return cotangent;
    if (!(cotangent.shape() == rule.y.shape()))
        throw ShapeError(fmt::format("gradients: the derivative of {} for its input {} must be {}, got {}",
                                     rule.y.node().op->name, rule.input, to_string(rule.y.shape()),
                                     to_string(cotangent.shape())));
    return sum_to(cotangent, input);
}

} // namespace cotape::detail

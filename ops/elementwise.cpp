#include <cotape/ops/elementwise.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/broadcast_reader.hpp>

namespace cotape::detail {
namespace {

constexpr std::int64_t tile_size = 1024;
/// Below this many elements, starting threads costs more than they save.
constexpr std::int64_t parallel_size = 64 * 1024;

} // namespace

Type elementwise_type(const Call& call) {
    Type type = call.type(0);
    if (!is_floating(type.dtype))
        throw DtypeError(fmt::format("{}: needs float32 or float64, got {}", call.name(), to_string(type.dtype)));
    for (std::size_t i = 1; i < call.inputs.size(); ++i) {
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
        kernel(pointers.data(), result.bytes(), static_cast<std::size_t>(count));
        return std::move(result).freeze();
    }

    std::vector<BroadcastReader> prototypes;
    for (const Tensor& input : inputs) prototypes.emplace_back(input, output.shape);
#pragma omp parallel if (count >= parallel_size)
    {
        std::vector<BroadcastReader> readers = prototypes;
        SmallVector<const void*, 4> pointers(readers.size());
#pragma omp for
        for (std::int64_t begin = 0; begin < count; begin += tile_size) {
            std::int64_t length = std::min(tile_size, count - begin);
            for (std::size_t i = 0; i < readers.size(); ++i) pointers[i] = readers[i].read(begin, length);
            kernel(pointers.data(), result.bytes() + static_cast<std::size_t>(begin) * element_size,
                   static_cast<std::size_t>(length));
        }
    }
    return std::move(result).freeze();
}

} // namespace cotape::detail

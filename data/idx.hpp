#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <cotape/core/tensor.hpp>

namespace cotape::data {

/// The element types of IDX, numbered as in the third byte of a file.
enum class IdxType : std::uint8_t {
    uint8 = 0x08,
    int8 = 0x09,
    int16 = 0x0b,
    int32 = 0x0c,
    float32 = 0x0d,
    float64 = 0x0e
};

/// "uint8", "int8", "int16", "int32", "float32", "float64".
const char* to_string(IdxType type);

/// Bytes of one element.
std::size_t size_of(IdxType type);

/// What an IDX file holds, the format MNIST is published in (http://yann.lecun.com/exdb/mnist): `bytes` are the
/// elements as they stand in the file, row-major and big-endian.
struct Idx {
    IdxType type = IdxType::uint8;
    Shape shape;
    std::vector<std::uint8_t> bytes;
};

/// Reads a whole IDX file of rank 1 to 4, plain or packed by gzip; the first bytes tell which, not the name. Sizes are
/// checked before memory is taken, and a packed file is unpacked no further than its header claims. Throws DataError,
/// which names the file and, counting unpacked bytes, the offset of what is wrong, for a file that cannot be read, is
/// not a regular file, or is not exactly one sound array.
Idx read_idx(const std::filesystem::path& path);

/// The elements as a tensor: int64 of integers; float32 and float64 as they are.
Tensor to_tensor(const Idx& idx);

} // namespace cotape::data

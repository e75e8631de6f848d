#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <zlib.h>

namespace cotape::testing {

/// The header of an IDX file, sound or not, followed by `elements`.
inline std::string idx_bytes(std::uint8_t type, const std::vector<std::uint32_t>& extents,
                             const std::string& elements) {
    std::string bytes = {0, 0, static_cast<char>(type), static_cast<char>(extents.size())};
    for (std::uint32_t extent : extents)
        for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(extent >> shift & 0xff);
    return bytes + elements;
}

/// `bytes` as gzip packs them.
inline std::string gzip(std::string bytes) {
    z_stream stream{};
    if (::deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::runtime_error("deflateInit2");
    std::string packed(::deflateBound(&stream, bytes.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    int code = ::deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    ::deflateEnd(&stream);
    if (code != Z_STREAM_END) throw std::runtime_error("deflate");
    return packed;
}

/// Writes a file and returns its path.
inline std::filesystem::path write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
}

} // namespace cotape::testing

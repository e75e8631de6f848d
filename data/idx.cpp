#include <cotape/data/idx.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <limits>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cotape/core/error.hpp>

namespace cotape::data {
namespace {

/// Deflate packs at most 258 bytes into two bits.
constexpr std::uint64_t highest_packing = 1032;

template <class... Values>
[[noreturn]] void fail(fmt::format_string<Values...> format, Values&&... values) {
    throw DataError("read_idx: " + fmt::format(format, std::forward<Values>(values)...));
}

const char* kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

struct Descriptor {
    int number;

    explicit Descriptor(int number) : number(number) {}
    ~Descriptor() {
        if (number >= 0) ::close(number);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
};

/// A regular file, read from front to back, and unpacked where it begins as gzip does.
class UnpackedFile {
  public:
    // Not waiting for the other end of a pipe; what was opened is then looked at through its descriptor.
    explicit UnpackedFile(const std::filesystem::path& path)
        : name_(path.string()), descriptor_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {
        int reason = errno;
        struct stat status {};
        bool opened = descriptor_.number >= 0;
        bool known = opened ? ::fstat(descriptor_.number, &status) == 0 : ::stat(path.c_str(), &status) == 0;
        if (known && !S_ISREG(status.st_mode))
            fail("expected a regular file, but {} is {}", name_, kind_of(status.st_mode));
        if (!opened || !known)
            fail("expected a readable file, got {}: {}", name_, std::generic_category().message(reason));
        file_size_ = static_cast<std::uint64_t>(status.st_size);
        packed_ = refill() && ahead_.size() >= 2 && ahead_[0] == 0x1f && ahead_[1] == 0x8b;
        if (packed_ && ::inflateInit2(&stream_, MAX_WBITS + 16) != Z_OK) throw std::bad_alloc();
    }
    ~UnpackedFile() { ::inflateEnd(&stream_); }
    UnpackedFile(const UnpackedFile&) = delete;
    UnpackedFile& operator=(const UnpackedFile&) = delete;

    const std::string& name() const { return name_; }
    std::uint64_t file_size() const { return file_size_; }
    bool packed() const { return packed_; }

    /// Fills `bytes` and returns how many there were, fewer only at the end of the file. A damaged end of packed data
    /// shows where something is asked for beyond their last byte.
    std::size_t read(std::span<std::uint8_t> bytes) {
        std::size_t done = 0;
        while (done < bytes.size() && (!ahead_.empty() || refill())) {
            std::uint64_t before = position_;
            if (packed_)
                unpack(bytes.subspan(done));
            else
                copy(bytes.subspan(done));
            done += position_ - before;
        }
        if (done < bytes.size() && packed_ && !at_end_) damaged("unexpected end of file");
        return done;
    }

  private:
    void copy(std::span<std::uint8_t> bytes) {
        std::size_t count = std::min(bytes.size(), ahead_.size());
        std::ranges::copy(ahead_.first(count), bytes.begin());
        ahead_ = ahead_.subspan(count);
        position_ += count;
    }

    /// What follows on the end of packed data is packed as well, or damage.
    void unpack(std::span<std::uint8_t> bytes) {
        if (at_end_) ::inflateReset(&stream_);
        std::size_t wanted = std::min<std::size_t>(bytes.size(), 1u << 30);
        stream_.next_in = ahead_.data();
        stream_.avail_in = static_cast<uInt>(ahead_.size());
        stream_.next_out = bytes.data();
        stream_.avail_out = static_cast<uInt>(wanted);
        int code = ::inflate(&stream_, Z_NO_FLUSH);
        position_ += wanted - stream_.avail_out;
        if (code != Z_OK && code != Z_STREAM_END) damaged(stream_.msg ? stream_.msg : "it cannot be unpacked");
        at_end_ = code == Z_STREAM_END;
        ahead_ = ahead_.last(stream_.avail_in);
    }

    /// Reads on where all that was read is used up; false at the end of the file.
    bool refill() {
        ssize_t got = 0;
        do got = ::read(descriptor_.number, buffer_.data(), buffer_.size());
        while (got < 0 && errno == EINTR);
        if (got < 0) damaged(std::generic_category().message(errno));
        ahead_ = std::span(buffer_).first(static_cast<std::size_t>(got));
        return got > 0;
    }

    [[noreturn]] void damaged(const std::string& reason) const {
        fail("expected sound {} data, but {} is damaged at or after unpacked byte {}: {}", packed_ ? "gzip" : "plain",
             name_, position_, reason);
    }

    std::string name_;
    Descriptor descriptor_;
    std::uint64_t file_size_ = 0;
    std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(1 << 17);
    std::span<std::uint8_t> ahead_; // read, but not used yet
    bool packed_ = false, at_end_ = false;
    z_stream stream_{};
    std::uint64_t position_ = 0;
};

template <class Unsigned>
Unsigned big_endian(const std::uint8_t* bytes) {
    Unsigned value = 0;
    for (std::size_t i = 0; i < sizeof(Unsigned); ++i) value = static_cast<Unsigned>(value << 8 | bytes[i]);
    return value;
}

void read_header_bytes(UnpackedFile& file, std::span<std::uint8_t> bytes, std::size_t offset) {
    std::size_t count = file.read(bytes);
    if (count < bytes.size())
        fail("expected a header of {} bytes, but {} ends at byte {}", offset + bytes.size(), file.name(),
             offset + count);
}

/// Type and shape, with all of the header checked but the size against the file.
Idx read_header(UnpackedFile& file) {
    std::array<std::uint8_t, 4> magic{};
    read_header_bytes(file, magic, 0);
    if (magic[0] != 0 || magic[1] != 0)
        fail("expected the bytes 00 00 at offset 0 of {}, got {:02x} {:02x}", file.name(), magic[0], magic[1]);
    if (magic[2] < 0x08 || magic[2] == 0x0a || magic[2] > 0x0e)
        fail("expected an element type 08, 09, 0b, 0c, 0d or 0e at offset 2 of {}, got {:02x}", file.name(), magic[2]);
    if (magic[3] < 1 || magic[3] > 4)
        fail("expected a rank from 1 to 4 at offset 3 of {}, got {}", file.name(), magic[3]);

    std::vector<std::uint8_t> extents(4 * std::size_t(magic[3]));
    read_header_bytes(file, extents, magic.size());
    Idx idx{static_cast<IdxType>(magic[2]), {}, {}};
    for (std::size_t i = 0; i < extents.size(); i += 4)
        idx.shape.push_back(big_endian<std::uint32_t>(extents.data() + i));

    std::int64_t bytes = 8; // as int64 or float64, the widest that to_tensor makes of an element
    for (std::int64_t extent : idx.shape)
        if (extent != 0 && __builtin_mul_overflow(bytes, extent, &bytes))
            fail("expected a size that 64 bits can count at offset 4 of {}, got {} {}", file.name(),
                 to_string(idx.type), to_string(idx.shape));
    return idx;
}

template <class T, class Unsigned, class Result>
Tensor decode(const Idx& idx) {
    return Tensor::make<Result>(idx.shape, [&](std::span<Result> elements) {
        for (std::size_t i = 0; i < elements.size(); ++i)
            elements[i] = static_cast<Result>(
                std::bit_cast<T>(big_endian<Unsigned>(idx.bytes.data() + i * sizeof(Unsigned))));
    });
}

} // namespace

const char* to_string(IdxType type) {
    switch (type) {
    case IdxType::uint8: return "uint8";
    case IdxType::int8: return "int8";
    case IdxType::int16: return "int16";
    case IdxType::int32: return "int32";
    case IdxType::float32: return "float32";
    case IdxType::float64: break;
    }
    return "float64";
}

std::size_t size_of(IdxType type) {
    switch (type) {
    case IdxType::uint8:
    case IdxType::int8: return 1;
    case IdxType::int16: return 2;
    case IdxType::int32:
    case IdxType::float32: return 4;
    case IdxType::float64: break;
    }
    return 8;
}

Idx read_idx(const std::filesystem::path& path) {
    UnpackedFile file(path);
    Idx idx = read_header(file);

    std::uint64_t header = 4 + 4 * idx.shape.size();
    std::uint64_t payload = static_cast<std::uint64_t>(element_count(idx.shape)) * size_of(idx.type);
    std::uint64_t required = header + payload;
    std::string array = fmt::format("{} {}", to_string(idx.type), to_string(idx.shape));
    if (!file.packed() && required > file.file_size())
        fail("expected {} bytes for {}, but {} ends at byte {}", required, array, file.name(), file.file_size());
    if (file.packed() && required / highest_packing > file.file_size())
        fail("expected {} bytes for {}, more than the {} packed bytes of {} can hold", required, array,
             file.file_size(), file.name());

    idx.bytes.resize(payload);
    std::uint64_t got = file.read(idx.bytes);
    if (got < payload)
        fail("expected {} bytes for {}, but {} ends at byte {}", required, array, file.name(), header + got);
    std::array<std::uint8_t, 1> trailing{};
    if (file.read(trailing) != 0)
        fail("expected {} to end at byte {} for {}, but there is more", file.name(), required, array);
    return idx;
}

Tensor to_tensor(const Idx& idx) {
    switch (idx.type) {
    case IdxType::uint8: return decode<std::uint8_t, std::uint8_t, std::int64_t>(idx);
    case IdxType::int8: return decode<std::int8_t, std::uint8_t, std::int64_t>(idx);
    case IdxType::int16: return decode<std::int16_t, std::uint16_t, std::int64_t>(idx);
    case IdxType::int32: return decode<std::int32_t, std::uint32_t, std::int64_t>(idx);
    case IdxType::float32: return decode<float, std::uint32_t, float>(idx);
    case IdxType::float64: break;
    }
    return decode<double, std::uint64_t, double>(idx);
}

} // namespace cotape::data

#include <cotape/data/idx.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
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

/// A regular file, read from front to back; zlib passes plain content through and unpacks what gzip packed.
class UnpackedFile {
  public:
    explicit UnpackedFile(const std::filesystem::path& path) : name_(path.string()) {
        // Not waiting for the other end of a pipe; what was opened is then looked at through its descriptor.
        int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        int reason = errno;
        struct stat status {};
        bool known = descriptor >= 0 ? ::fstat(descriptor, &status) == 0 : ::stat(path.c_str(), &status) == 0;
        bool regular = known && S_ISREG(status.st_mode);
        if (descriptor >= 0 && regular) file_.reset(::gzdopen(descriptor, "rb"));
        if (!file_) {
            if (descriptor >= 0) ::close(descriptor);
            if (known && !regular) fail("expected a regular file, but {} is {}", name_, kind_of(status.st_mode));
            fail("expected a readable file, got {}: {}", name_, std::generic_category().message(reason));
        }
        file_size_ = static_cast<std::uint64_t>(status.st_size);
        ::gzbuffer(file_.get(), 1 << 17);
    }

    const std::string& name() const { return name_; }
    std::uint64_t file_size() const { return file_size_; }
    bool packed() { return ::gzdirect(file_.get()) == 0; }

    /// Fills `bytes` and returns how many there were, fewer only at the end of the file.
    std::size_t read(std::span<std::uint8_t> bytes) {
        std::size_t done = 0;
        while (done < bytes.size()) {
            unsigned wanted = static_cast<unsigned>(std::min<std::size_t>(bytes.size() - done, 1u << 30));
            int got = ::gzread(file_.get(), bytes.data() + done, wanted);
            if (got > 0) done += static_cast<std::size_t>(got);
            if (got != static_cast<int>(wanted)) break;
        }
        position_ += done;
        if (done < bytes.size()) require_sound();
        return done;
    }

    /// To be called after the last read: a damaged end shows only here.
    void close() {
        require_sound();
        if (::gzclose(file_.release()) != Z_OK) fail("{} is damaged: it cannot be closed as a sound file", name_);
    }

  private:
    /// zlib reports a cut file as an end of data, and a wrong checksum possibly after the last byte.
    void require_sound() {
        int code = Z_OK;
        std::string_view message = ::gzerror(file_.get(), &code);
        if (code == Z_OK) return;
        std::size_t after_descriptor = message.find(": ");
        if (after_descriptor != message.npos) message.remove_prefix(after_descriptor + 2);
        fail("expected sound {} data, but {} is damaged at or after unpacked byte {}: {}",
             packed() ? "gzip" : "plain", name_, position_, message);
    }

    struct Close {
        void operator()(gzFile file) const { ::gzclose(file); }
    };

    std::string name_;
    std::unique_ptr<gzFile_s, Close> file_;
    std::uint64_t file_size_ = 0;
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
    file.close();
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

#include <cotape/data/idx.hpp>

#include <locale>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "idx_bytes.hpp"
#include "temporary_folder.hpp"

using namespace cotape;
using namespace cotape::data;
using namespace cotape::testing;
using namespace std::string_literals;

namespace {

template <class T>
std::vector<T> elements(const Tensor& tensor) {
    return {tensor.elements<T>().begin(), tensor.elements<T>().end()};
}

} // namespace

TEST_SUITE("data") {
    TEST_CASE("an IDX file of every element type becomes a tensor") {
        TemporaryFolder folder;
        auto read = [&](std::uint8_t type, std::uint32_t count, const std::string& bytes) {
            return to_tensor(read_idx(write_file(folder / "array", idx_bytes(type, {count}, bytes))));
        };
        CHECK(elements<std::int64_t>(read(0x08, 3, "\x00\x7f\xff"s)) == std::vector<std::int64_t>{0, 127, 255});
        CHECK(elements<std::int64_t>(read(0x09, 3, "\x00\x7f\xff"s)) == std::vector<std::int64_t>{0, 127, -1});
        CHECK(elements<std::int64_t>(read(0x0b, 2, "\x01\x02\xff\xfe"s)) == std::vector<std::int64_t>{258, -2});
        CHECK(elements<std::int64_t>(read(0x0c, 2, "\x01\x02\x03\x04\xff\xff\xff\xfe"s)) ==
              std::vector<std::int64_t>{16909060, -2});
        CHECK(elements<float>(read(0x0d, 2, "\x3f\xc0\x00\x00\xc0\x00\x00\x00"s)) == std::vector<float>{1.5f, -2});
        CHECK(elements<double>(read(0x0e, 1, "\x3f\xf8\x00\x00\x00\x00\x00\x00"s)) == std::vector<double>{1.5});
    }

    TEST_CASE("an IDX file of rank 1 to 4 keeps its shape, type and row-major bytes") {
        TemporaryFolder folder;
        std::string elements = "abcdefghijklmnopqrstuvwx";
        for (const std::vector<std::uint32_t>& extents :
             std::vector<std::vector<std::uint32_t>>{{24}, {4, 6}, {2, 3, 4}, {1, 2, 3, 4}}) {
            Idx idx = read_idx(write_file(folder / "array", idx_bytes(0x08, extents, elements)));
            CHECK(idx.type == IdxType::uint8);
            CHECK(idx.shape == Shape(extents.begin(), extents.end()));
            CHECK(std::string(idx.bytes.begin(), idx.bytes.end()) == elements);
        }
    }

    TEST_CASE("an IDX array without elements is read as one") {
        TemporaryFolder folder;
        Idx idx = read_idx(write_file(folder / "array", idx_bytes(0x08, {0, 28, 28}, "")));
        CHECK(to_tensor(idx).shape() == Shape{0, 28, 28});
    }

    TEST_CASE("the bytes of an IDX file, not its name, tell whether it is packed") {
        TemporaryFolder folder;
        std::string bytes = idx_bytes(0x08, {2, 2}, "abcd");
        for (const auto& path : {write_file(folder / "plain", bytes), write_file(folder / "plain.gz", bytes),
                                 write_file(folder / "packed.gz", gzip(bytes)),
                                 write_file(folder / "packed", gzip(bytes))}) {
            Idx idx = read_idx(path);
            CHECK(idx.shape == Shape{2, 2});
            CHECK(idx.bytes == std::vector<std::uint8_t>{'a', 'b', 'c', 'd'});
        }
    }

    TEST_CASE("an IDX file packed in several parts is read whole") {
        TemporaryFolder folder;
        std::string bytes = idx_bytes(0x08, {2, 2}, "abcd");
        std::string packed = gzip(bytes.substr(0, 5)) + gzip("") + gzip(bytes.substr(5));
        Idx idx = read_idx(write_file(folder / "parts", packed));
        CHECK(std::string(idx.bytes.begin(), idx.bytes.end()) == "abcd");
    }

    TEST_CASE("a packed IDX file much larger than zlib's buffers is read whole") {
        TemporaryFolder folder;
        std::string elements(5'000'000, '\0');
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<char>(i * i >> 7);
        Idx idx = read_idx(write_file(folder / "array", gzip(idx_bytes(0x08, {5'000'000}, elements))));
        CHECK(std::string(idx.bytes.begin(), idx.bytes.end()) == elements);
    }

    TEST_CASE("reading IDX does not depend on the locale") {
        struct Commas : std::numpunct<char> {
            char do_decimal_point() const override { return ','; }
            char do_thousands_sep() const override { return '.'; }
            std::string do_grouping() const override { return "\3"; }
        };
        TemporaryFolder folder;
        auto path = write_file(folder / "array", idx_bytes(0x0d, {1}, "\x3f\xc0\x00\x00"s));
        auto large = write_file(folder / "large", idx_bytes(0x08, {60000}, ""));
        std::string message = "read_idx: expected 60008 bytes for uint8 [60000], but " + large.string() +
                              " ends at byte 8";
        std::locale before = std::locale::global(std::locale(std::locale(), new Commas));
        CHECK(to_tensor(read_idx(path)).item() == 1.5);
        CHECK_THROWS_WITH(read_idx(large), message.c_str());
        std::locale::global(before);
    }
}

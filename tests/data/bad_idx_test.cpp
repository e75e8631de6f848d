#include <cotape/data/idx.hpp>

#include <cstdio>
#include <cstring>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cotape/core/error.hpp>

#include "idx_bytes.hpp"
#include "temporary_folder.hpp"

using namespace cotape;
using namespace cotape::data;
using namespace cotape::testing;
using namespace std::string_literals;

namespace {

/// Reading `path` fails with `message`, in which {} stands for the path.
void check_refused(const std::filesystem::path& path, std::string message) {
    std::size_t name = message.find("{}");
    REQUIRE(name != message.npos);
    message.replace(name, 2, path.string());
    CHECK_THROWS_WITH_AS(read_idx(path), ("read_idx: " + message).c_str(), DataError);
}

/// The same of a file holding `bytes`, and of one holding them packed.
void check_refused_in_both_forms(const std::string& bytes, const std::string& message) {
    TemporaryFolder folder;
    check_refused(write_file(folder / "plain", bytes), message);
    check_refused(write_file(folder / "packed", gzip(bytes)), message);
}

} // namespace

TEST_SUITE("data") {
    TEST_CASE("an IDX file with a wrong magic number is refused") {
        check_refused_in_both_forms("PK\x08\x01", "expected the bytes 00 00 at offset 0 of {}, got 50 4b");
        check_refused_in_both_forms("\0\x01\x08\x01"s, "expected the bytes 00 00 at offset 0 of {}, got 00 01");
    }

    TEST_CASE("an IDX file with an unknown element type is refused") {
        for (int type : {0x00, 0x07, 0x0a, 0x0f, 0xff}) {
            char hexadecimal[3];
            std::snprintf(hexadecimal, sizeof hexadecimal, "%02x", static_cast<unsigned>(type));
            check_refused_in_both_forms(
                idx_bytes(static_cast<std::uint8_t>(type), {1}, "a"),
                "expected an element type 08, 09, 0b, 0c, 0d or 0e at offset 2 of {}, got "s + hexadecimal);
        }
    }

    TEST_CASE("an IDX file of rank 0 or above 4 is refused") {
        check_refused_in_both_forms(idx_bytes(0x08, {}, "a"), "expected a rank from 1 to 4 at offset 3 of {}, got 0");
        check_refused_in_both_forms(idx_bytes(0x08, {1, 1, 1, 1, 1}, "a"),
                                    "expected a rank from 1 to 4 at offset 3 of {}, got 5");
    }

    TEST_CASE("an IDX file cut anywhere in its header is refused") {
        std::string bytes = idx_bytes(0x08, {1, 1, 1}, "");
        for (std::size_t length = 0; length < bytes.size(); ++length)
            check_refused_in_both_forms(bytes.substr(0, length), "expected a header of "s + (length < 4 ? "4" : "16") +
                                                                     " bytes, but {} ends at byte " +
                                                                     std::to_string(length));
    }

    TEST_CASE("IDX extents whose product overflows 64 bits are refused") {
        check_refused_in_both_forms(idx_bytes(0x08, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, "a"),
                                    "expected a size that 64 bits can count at offset 4 of {}, got uint8 "
                                    "[4294967295, 4294967295, 4294967295, 4294967295]");
        check_refused_in_both_forms(idx_bytes(0x0e, {0x80000000, 0x40000000, 1}, "a"),
                                    "expected a size that 64 bits can count at offset 4 of {}, got float64 "
                                    "[2147483648, 1073741824, 1]");
        check_refused_in_both_forms(idx_bytes(0x08, {0, 0xffffffff, 0xffffffff}, ""),
                                    "expected a size that 64 bits can count at offset 4 of {}, got uint8 "
                                    "[0, 4294967295, 4294967295]");
    }

    TEST_CASE("IDX extents larger than the file are refused before memory is taken") {
        TemporaryFolder folder;
        std::string bytes = idx_bytes(0x0e, {0x80000000, 0x10000000}, "12345678");
        check_refused(write_file(folder / "plain", bytes),
                      "expected 4611686018427387916 bytes for float64 [2147483648, 268435456], but {} ends at byte 20");
        std::string packed = gzip(bytes);
        check_refused(write_file(folder / "packed", packed),
                      "expected 4611686018427387916 bytes for float64 [2147483648, 268435456], more than the " +
                          std::to_string(packed.size()) + " packed bytes of {} can hold");
    }

    TEST_CASE("IDX data cut short are refused") {
        check_refused_in_both_forms(idx_bytes(0x0c, {2, 2}, "0123456789abcde"),
                                    "expected 28 bytes for int32 [2, 2], but {} ends at byte 27");
    }

    TEST_CASE("an IDX file with trailing bytes is refused") {
        check_refused_in_both_forms(idx_bytes(0x08, {2, 2}, "abcde"),
                                    "expected {} to end at byte 16 for uint8 [2, 2], but there is more");
        TemporaryFolder folder;
        std::string packed = gzip(idx_bytes(0x08, {2, 2}, "abcd"));
        check_refused(write_file(folder / "two members", packed + packed),
                      "expected {} to end at byte 16 for uint8 [2, 2], but there is more");
        for (const std::string& trailing : {std::string("x"), std::string("garbage"), std::string(8, '\0')})
            check_refused(write_file(folder / "more", packed + trailing),
                          "expected sound gzip data, but {} is damaged at or after unpacked byte 16: " +
                              std::string(trailing.size() < 2 ? "unexpected end of file" : "incorrect header check"));
    }

    TEST_CASE("a gzip bomb is not unpacked beyond what its header claims") {
        TemporaryFolder folder;
        std::string packed = gzip(idx_bytes(0x08, {2, 2}, std::string(50'000'000, '\0')));
        // Had the reader gone on to the end, it would have seen that the end is missing.
        check_refused(write_file(folder / "bomb", packed.substr(0, packed.size() / 2)),
                      "expected {} to end at byte 16 for uint8 [2, 2], but there is more");
    }

    TEST_CASE("a packed IDX file cut anywhere is refused") {
        TemporaryFolder folder;
        std::string packed = gzip(idx_bytes(0x08, {3, 4}, "abcdefghijkl"));
        for (std::size_t length = 0; length < packed.size(); ++length) {
            CAPTURE(length);
            CHECK_THROWS_AS(read_idx(write_file(folder / "cut", packed.substr(0, length))), DataError);
        }
        check_refused(write_file(folder / "cut", packed.substr(0, packed.size() - 1)),
                      "expected sound gzip data, but {} is damaged at or after unpacked byte 24: "
                      "unexpected end of file");
        check_refused(write_file(folder / "cut", packed.substr(0, 10)),
                      "expected sound gzip data, but {} is damaged at or after unpacked byte 0: "
                      "unexpected end of file");
    }

    TEST_CASE("a packed IDX file with a bad checksum, length or content is refused") {
        TemporaryFolder folder;
        std::string packed = gzip(idx_bytes(0x08, {3, 4}, "abcdefghijkl"));
        auto with_flip = [&](std::size_t position) {
            std::string damaged = packed;
            damaged[position] = static_cast<char>(damaged[position] ^ 0x10);
            return write_file(folder / "damaged", damaged);
        };
        std::string start = "expected sound gzip data, but {} is damaged at or after unpacked byte 24: ";
        check_refused(with_flip(packed.size() - 8), start + "incorrect data check");
        check_refused(with_flip(packed.size() - 4), start + "incorrect length check");
        for (std::size_t position = 10; position < packed.size(); ++position) {
            CAPTURE(position);
            CHECK_THROWS_AS(read_idx(with_flip(position)), DataError);
        }
    }

    TEST_CASE("a large packed IDX file with a bad checksum is refused after its last byte") {
        TemporaryFolder folder;
        std::string elements(1'000'000, '\0');
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<char>(i * i >> 7);
        std::string packed = gzip(idx_bytes(0x08, {1'000'000}, elements));
        packed[packed.size() - 6] = static_cast<char>(~packed[packed.size() - 6]);
        CHECK_THROWS_AS(read_idx(write_file(folder / "damaged", packed)), DataError);
    }

    TEST_CASE("a missing IDX file is reported with its path") {
        TemporaryFolder folder;
        check_refused(folder / "none", "expected a readable file, got {}: No such file or directory");
    }

    TEST_CASE("an unreadable IDX file is reported with the reason") {
        TemporaryFolder folder;
        auto path = write_file(folder / "secret", idx_bytes(0x08, {1}, "a"));
        std::filesystem::permissions(path, std::filesystem::perms::none);
        if (::access(path.c_str(), R_OK) == 0)
            MESSAGE("skipped: this user reads everything");
        else
            check_refused(path, "expected a readable file, got {}: Permission denied");
    }

    TEST_CASE("what is not a regular file is refused as IDX without waiting") {
        TemporaryFolder folder;
        check_refused(folder.path(), "expected a regular file, but {} is a directory");
        check_refused("/dev/zero", "expected a regular file, but {} is a device");
        check_refused("/dev/null", "expected a regular file, but {} is a device");

        REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
        check_refused(folder / "pipe", "expected a regular file, but {} is a pipe");

        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::string name = (folder / "socket").string();
        REQUIRE(name.size() < sizeof address.sun_path);
        std::strcpy(address.sun_path, name.c_str());
        int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
        REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        check_refused(name, "expected a regular file, but {} is a socket");
        ::close(socket);
    }

    TEST_CASE("refused IDX files leave no descriptor open") {
        TemporaryFolder folder;
        auto path = write_file(folder / "bad", "bad");
        int before = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::close(before);
        for (int i = 0; i < 10; ++i) {
            CHECK_THROWS_AS(read_idx(path), DataError);
            CHECK_THROWS_AS(read_idx(folder.path()), DataError);
        }
        int after = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::close(after);
        CHECK(after == before);
    }
}

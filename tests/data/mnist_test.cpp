#include <cotape/data/mnist.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

#include "idx_bytes.hpp"
#include "temporary_folder.hpp"

using namespace cotape;
using namespace cotape::data;
using namespace cotape::testing;
using namespace std::string_literals;

namespace {

/// `count` images, the first pixel of each telling its index, the second full ink.
std::string images(std::uint32_t count, std::uint32_t height = 28, std::uint32_t width = 28) {
    std::string pixels(std::size_t(count) * height * width, '\0');
    for (std::uint32_t i = 0; i < count; ++i) {
        pixels[std::size_t(i) * height * width] = static_cast<char>(i);
        pixels[std::size_t(i) * height * width + 1] = '\xff';
    }
    return idx_bytes(0x08, {count, height, width}, pixels);
}

std::string labels(const std::string& values) {
    return idx_bytes(0x08, {static_cast<std::uint32_t>(values.size())}, values);
}

/// A folder with five images to train with and two to test with; tests replace what they need.
struct Folder : TemporaryFolder {
    Folder() {
        write_file(*this / "train-images-idx3-ubyte", images(5));
        write_file(*this / "train-labels-idx1-ubyte", labels("\0\1\2\3\x09"s));
        write_file(*this / "t10k-images-idx3-ubyte", images(2));
        write_file(*this / "t10k-labels-idx1-ubyte", labels("\7\x08"s));
    }

    std::string train_images() const { return (*this / "train-images-idx3-ubyte").string(); }
    std::string train_labels() const { return (*this / "train-labels-idx1-ubyte").string(); }
};

void check_refused(const Folder& folder, const std::string& message) {
    CHECK_THROWS_WITH_AS(mnist(folder.path()), ("mnist: " + message).c_str(), DataError);
}

} // namespace

TEST_SUITE("data") {
    TEST_CASE("MNIST becomes pixels from 0 to 1 and labels") {
        Folder folder;
        CHECK(has_mnist(folder.path()));
        auto [train, test] = mnist(folder.path());
        CHECK(train.inputs.type() == Type{{5, 784}, Dtype::float32});
        CHECK(train.labels.type() == Type{{5}, Dtype::int64});
        CHECK(test.size() == 2);
        CHECK(train.inputs.elements<float>()[3 * 784] == 3.0f / 255);
        CHECK(train.inputs.elements<float>()[3 * 784 + 1] == 1);
        CHECK(train.inputs.elements<float>()[3 * 784 + 2] == 0);
        CHECK(train.labels.at(4) == 9);
        CHECK(test.labels.at(0) == 7);
    }

    TEST_CASE("MNIST is found under either spelling, plain or packed") {
        TemporaryFolder folder;
        write_file(folder / "train-images.idx3-ubyte", images(5));
        write_file(folder / "train-labels-idx1-ubyte.gz", gzip(labels("\0\1\2\3\x09"s)));
        write_file(folder / "t10k-images.idx3-ubyte.gz", gzip(images(2)));
        write_file(folder / "t10k-labels-idx1-ubyte", labels("\7\x08"s));
        CHECK(has_mnist(folder.path()));
        CHECK(mnist(folder.path()).train.size() == 5);
    }

    TEST_CASE("missing MNIST files are all listed, with the script that downloads them") {
        Folder folder;
        std::filesystem::remove(folder / "train-labels-idx1-ubyte");
        std::filesystem::remove(folder / "t10k-images-idx3-ubyte");
        CHECK(!has_mnist(folder.path()));
        check_refused(folder, "expected four files in " + folder.path().string() +
                                  ", plain or .gz, missing train-labels-idx1-ubyte, t10k-images-idx3-ubyte "
                                  "(data/download_mnist.sh downloads them)");
        CHECK(!has_mnist(folder / "none"));
        for (const auto& [name, reason] :
             {std::pair{"none", "does not exist"}, std::pair{"train-images-idx3-ubyte", "is no folder"}})
            CHECK_THROWS_WITH_AS(mnist(folder / name),
                                 ("mnist: expected a folder of four files, got " + (folder / name).string() +
                                  ", which " + reason + " (data/download_mnist.sh downloads them)")
                                     .c_str(),
                                 DataError);
    }

    TEST_CASE("MNIST with counts that differ is refused") {
        Folder folder;
        write_file(folder.train_labels(), labels("\0\1\2\3"s));
        check_refused(folder, "expected as many labels as images, got 5 images in " + folder.train_images() +
                                  " and 4 labels in " + folder.train_labels());
    }

    TEST_CASE("an MNIST label outside the classes is refused with its index") {
        Folder folder;
        write_file(folder.train_labels(), labels("\0\1\2\x0a\x0b"s));
        check_refused(folder, "expected labels from 0 to 9, got 10 at index 3 (offset 11) of " + folder.train_labels());
    }

    TEST_CASE("MNIST images and labels that are swapped are recognised") {
        Folder folder;
        write_file(folder.train_images(), labels("\0\1\2\3\x09"s));
        write_file(folder.train_labels(), images(5));
        check_refused(folder, "expected images in " + folder.train_images() + " and labels in " +
                                  folder.train_labels() + ", but the two are swapped");
    }

    TEST_CASE("MNIST without images is refused") {
        Folder folder;
        write_file(folder.train_images(), images(0));
        write_file(folder.train_labels(), labels(""));
        check_refused(folder, "expected at least one image in " + folder.train_images() + ", got uint8 [0, 28, 28]");
    }

    TEST_CASE("MNIST arrays of another rank, type or image size are refused") {
        Folder folder;
        write_file(folder.train_images(), idx_bytes(0x08, {1, 784}, std::string(784, 'a')));
        check_refused(folder,
                      "expected images, uint8 [N, 28, 28], in " + folder.train_images() + ", got uint8 [1, 784]");
        write_file(folder.train_images(), images(5, 20, 20));
        check_refused(folder, "expected images of 28 by 28 pixels in " + folder.train_images() + ", got 20 by 20");
        write_file(folder.train_images(), images(5));
        write_file(folder.train_labels(), idx_bytes(0x09, {5}, "abcde"));
        check_refused(folder, "expected labels, uint8 [N], in " + folder.train_labels() + ", got int8 [5]");
    }

    TEST_CASE("an MNIST file that cannot be read is reported as such, not as missing") {
        Folder folder;
        std::filesystem::remove(folder.train_images());
        std::filesystem::create_directory(folder.train_images());
        std::string message = "read_idx: expected a regular file, but " + folder.train_images() + " is a directory";
        CHECK_THROWS_WITH_AS(mnist(folder.path()), message.c_str(), DataError);
    }

    TEST_CASE("the real MNIST has its published sizes, labels and statistics") {
        const char* folder = std::getenv("COTAPE_MNIST");
        if (!folder) {
            MESSAGE("skipped: the environment variable COTAPE_MNIST names no folder");
            return;
        }
        auto [train, test] = mnist(folder);
        CHECK(train.size() == 60000);
        CHECK(test.size() == 10000);
        std::vector<std::int64_t> counts(10);
        for (std::int64_t label : train.labels.elements<std::int64_t>().first(1000)) ++counts[std::size_t(label)];
        CHECK(counts == std::vector<std::int64_t>{97, 116, 99, 93, 105, 92, 94, 117, 87, 100});
        double sum = 0;
        double squares = 0;
        for (float pixel : train.inputs.elements<float>()) {
            sum += pixel;
            squares += double(pixel) * pixel;
        }
        double mean = sum / double(train.inputs.size());
        // The published values have four digits.
        CHECK(mean == doctest::Approx(0.1307).epsilon(0.0005));
        double deviation = std::sqrt(squares / double(train.inputs.size()) - mean * mean);
        CHECK(deviation == doctest::Approx(0.3081).epsilon(0.0005));
    }
}

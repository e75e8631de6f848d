#include <cotape/data/mnist.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/data/idx.hpp>

namespace cotape::data {
namespace {

constexpr std::int64_t side = 28;
constexpr std::uint8_t classes = 10;
constexpr std::uint64_t label_offset = 8;

struct FileName {
    const char* subject;
    const char* format;
};

constexpr std::array<FileName, 4> file_names = {{{"train-images", "idx3-ubyte"},
                                                 {"train-labels", "idx1-ubyte"},
                                                 {"t10k-images", "idx3-ubyte"},
                                                 {"t10k-labels", "idx1-ubyte"}}};

/// A file that is there but cannot be read is found as well: reading it gives the reason.
std::optional<std::filesystem::path> find(const std::filesystem::path& folder, FileName name) {
    for (const char* separator : {"-", "."})
        for (const char* ending : {"", ".gz"}) {
            std::filesystem::path path = folder / fmt::format("{}{}{}{}", name.subject, separator, name.format, ending);
            std::error_code error;
            if (std::filesystem::status(path, error).type() != std::filesystem::file_type::not_found) return path;
        }
    return std::nullopt;
}

std::string describe(const Idx& idx) { return fmt::format("{} {}", to_string(idx.type), to_string(idx.shape)); }

bool holds_images(const Idx& idx) { return idx.type == IdxType::uint8 && idx.shape.size() == 3; }
bool holds_labels(const Idx& idx) { return idx.type == IdxType::uint8 && idx.shape.size() == 1; }

void check(const Idx& images, const std::string& images_name, const Idx& labels, const std::string& labels_name) {
    if (holds_labels(images) && holds_images(labels))
        throw DataError(fmt::format("mnist: expected images in {} and labels in {}, but the two are swapped",
                                    images_name, labels_name));
    if (!holds_images(images))
        throw DataError(fmt::format("mnist: expected images, uint8 [N, {}, {}], in {}, got {}", side, side, images_name,
                                    describe(images)));
    if (!holds_labels(labels))
        throw DataError(fmt::format("mnist: expected labels, uint8 [N], in {}, got {}", labels_name, describe(labels)));
    if (images.shape[0] == 0)
        throw DataError(fmt::format("mnist: expected at least one image in {}, got {}", images_name, describe(images)));
    if (images.shape[1] != side || images.shape[2] != side)
        throw DataError(fmt::format("mnist: expected images of {} by {} pixels in {}, got {} by {}", side, side,
                                    images_name, images.shape[1], images.shape[2]));
    if (images.shape[0] != labels.shape[0])
        throw DataError(fmt::format("mnist: expected as many labels as images, got {} images in {} and {} labels in {}",
                                    images.shape[0], images_name, labels.shape[0], labels_name));
    auto outside = std::ranges::find_if(labels.bytes, [](std::uint8_t label) { return label >= classes; });
    if (outside != labels.bytes.end()) {
        auto index = static_cast<std::uint64_t>(outside - labels.bytes.begin());
        throw DataError(fmt::format("mnist: expected labels from 0 to 9, got {} at index {} (offset {}) of {}",
                                    *outside, index, label_offset + index, labels_name));
    }
}

Dataset read(const std::filesystem::path& images_path, const std::filesystem::path& labels_path) {
    Idx images = read_idx(images_path);
    Idx labels = read_idx(labels_path);
    check(images, images_path.string(), labels, labels_path.string());
    Tensor inputs = Tensor::make<float>({images.shape[0], side * side}, [&](std::span<float> pixels) {
        std::ranges::transform(images.bytes, pixels.begin(), [](std::uint8_t level) { return float(level) / 255; });
    });
    return {inputs, to_tensor(labels)};
}

} // namespace

Mnist mnist(const std::filesystem::path& folder) {
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error))
        throw DataError(fmt::format("mnist: expected a folder of four files, got {}, which {} "
                                    "(data/download_mnist.sh downloads them)",
                                    folder.string(),
                                    std::filesystem::exists(folder, error) ? "is no folder" : "does not exist"));
    std::vector<std::filesystem::path> found;
    std::string missing;
    for (FileName name : file_names) {
        if (std::optional<std::filesystem::path> path = find(folder, name))
            found.push_back(*path);
        else
            missing += fmt::format("{}{}-{}", missing.empty() ? "" : ", ", name.subject, name.format);
    }
    if (!missing.empty())
        throw DataError(fmt::format("mnist: expected four files in {}, plain or .gz, missing {} "
                                    "(data/download_mnist.sh downloads them)",
                                    folder.string(), missing));
    return {read(found[0], found[1]), read(found[2], found[3])};
}

bool has_mnist(const std::filesystem::path& folder) {
    return std::ranges::all_of(file_names, [&](FileName name) { return find(folder, name).has_value(); });
}

} // namespace cotape::data

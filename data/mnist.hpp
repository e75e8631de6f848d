#pragma once

#include <filesystem>

#include <cotape/data/dataset.hpp>

namespace cotape::data {

/// Digits to train with and others to test with: inputs float32 [N, 784], 28 by 28 pixels from 0 (paper) to 1 (ink),
/// row by row; labels int64 [N] from 0 to 9.
struct Mnist {
    Dataset train;
    Dataset test;
};

/// Reads MNIST, or a data set in its format such as Fashion-MNIST, from its four IDX files in `folder`, plain or
/// gzipped, under their published names (`train-images-idx3-ubyte`, also spelled `train-images.idx3-ubyte`).
/// data/download_mnist.sh fetches them. Throws DataError for files that are missing, damaged or do not fit together.
Mnist mnist(const std::filesystem::path& folder);

/// True where `folder` has all four files.
bool has_mnist(const std::filesystem::path& folder);

} // namespace cotape::data

#pragma once

#include <cstdint>
#include <span>

#include <cotape/core/tensor.hpp>

namespace cotape::data {

/// Examples and what to learn of them, row by row: inputs float32 [N, ...], labels int64 [N]. A batch is a Dataset too.
/// Copies share their tensors.
struct Dataset {
    Tensor inputs;
    Tensor labels;

    /// The number of rows, N; 0 where there are no tensors. Throws ShapeError where inputs and labels differ in it.
    std::int64_t size() const;
};

/// The given rows in the given order, copied; a row may stand there more than once. Throws ValueError for a row outside
/// the dataset.
Dataset select(const Dataset& dataset, std::span<const std::int64_t> rows);

/// The first `count` rows, copied. Throws ValueError where the dataset has fewer.
Dataset take(const Dataset& dataset, std::int64_t count);

} // namespace cotape::data

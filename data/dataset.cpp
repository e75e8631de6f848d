#include <cotape/data/dataset.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>

namespace cotape::data {
namespace {

/// Copies rows that are known to be there.
Tensor gather(const Tensor& tensor, std::span<const std::int64_t> rows) {
    std::int64_t row_size = tensor.size() / std::max<std::int64_t>(tensor.shape()[0], 1);
    Shape shape = tensor.shape();
    shape[0] = static_cast<std::int64_t>(rows.size());
    MutableTensor result({shape, tensor.dtype()});
    visit_dtype(tensor.dtype(), [&]<class T>(T) {
        auto from = tensor.elements<T>().begin();
        auto to = result.elements<T>().begin();
        for (std::int64_t row : rows) to = std::copy_n(from + row * row_size, row_size, to);
    });
    return std::move(result).freeze();
}

} // namespace

std::int64_t Dataset::size() const {
    if (inputs.empty() && labels.empty()) return 0;
    if (inputs.shape().empty() || labels.shape().empty() || inputs.shape()[0] != labels.shape()[0])
        throw ShapeError(fmt::format("dataset: expected as many labels as inputs, got inputs {} and labels {}",
                                     to_string(inputs.shape()), to_string(labels.shape())));
    return inputs.shape()[0];
}

Dataset select(const Dataset& dataset, std::span<const std::int64_t> rows) {
    std::int64_t size = dataset.size();
    auto outside = std::ranges::find_if(rows, [&](std::int64_t row) { return row < 0 || row >= size; });
    if (outside != rows.end())
        throw ValueError(fmt::format("select: expected rows of a dataset of {}, got row {} at position {}", size,
                                     *outside, outside - rows.begin()));
    if (dataset.inputs.empty()) return dataset;
    return {gather(dataset.inputs, rows), gather(dataset.labels, rows)};
}

Dataset take(const Dataset& dataset, std::int64_t count) {
    if (count < 0 || count > dataset.size())
        throw ValueError(fmt::format("take: expected at most the {} rows of the dataset, got a count of {}",
                                     dataset.size(), count));
    std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
    std::iota(rows.begin(), rows.end(), 0);
    return select(dataset, rows);
}

} // namespace cotape::data

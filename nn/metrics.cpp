#include <cotape/nn/metrics.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>

namespace cotape::nn {

double accuracy(const Tensor& logits, const Tensor& labels) {
    if (labels.dtype() != Dtype::int64 || !is_floating(logits.dtype()))
        throw DtypeError(fmt::format("accuracy: needs floating logits and int64 labels, got {} and {}",
                                     to_string(logits.dtype()), to_string(labels.dtype())));
    if (logits.shape().size() != 2 || labels.shape().size() != 1 || logits.shape()[0] != labels.size() ||
        logits.size() == 0)
        throw ShapeError(fmt::format("accuracy: needs logits [N, classes] and labels [N], got {} and {}",
                                     to_string(logits.shape()), to_string(labels.shape())));
    std::span<const std::int64_t> label = labels.elements<std::int64_t>();
    std::size_t classes = static_cast<std::size_t>(logits.shape()[1]);
    std::int64_t right = visit_floating(logits.dtype(), [&]<class T>(T) {
        std::int64_t count = 0;
        for (std::size_t i = 0; i < label.size(); ++i) {
            std::span<const T> row = logits.elements<T>().subspan(i * classes, classes);
            bool valid = std::ranges::none_of(row, [](T logit) { return std::isnan(logit); });
            if (valid && std::ranges::max_element(row) - row.begin() == label[i]) ++count;
        }
        return count;
    });
    return static_cast<double>(right) / static_cast<double>(label.size());
}

} // namespace cotape::nn

#pragma once

#include <functional>
#include <vector>

#include <cotape/core/shape.hpp>

#include "reference_array.hpp"

/// A convolution by its definition, independent of Cotape's: which elements of x, weight and output multiply.
struct PlainConvolution {
    cotape::Shape x, weight, stride, padding, dilation;
    std::int64_t groups = 1;

    std::size_t axes() const { return x.size() - 2; }

    cotape::Shape y() const {
        cotape::Shape shape{x[0], weight[0]};
        for (std::size_t i = 0; i < axes(); ++i)
            shape.push_back((x[2 + i] + 2 * padding[i] - dilation[i] * (weight[2 + i] - 1) - 1) / stride[i] + 1);
        return shape;
    }

    /// Calls `visit` with the row-major positions, in x, weight and output, of each x * weight that an output sums.
    void visit_terms(const std::function<void(std::size_t, std::size_t, std::size_t)>& visit) const {
        std::size_t at_y = 0;
        for (const cotape::Shape& out : indices_of(y())) {
            std::size_t at_weight = 0;
            for (const cotape::Shape& tap : indices_of(weight)) {
                std::int64_t group = out[1] / (weight[0] / groups);
                std::int64_t at_x = out[0] * x[1] + group * weight[1] + tap[1];
                bool inside = tap[0] == out[1];
                for (std::size_t i = 0; i < axes(); ++i) {
                    std::int64_t position = out[2 + i] * stride[i] - padding[i] + tap[2 + i] * dilation[i];
                    inside = inside && position >= 0 && position < x[2 + i];
                    at_x = at_x * x[2 + i] + position;
                }
                if (inside) visit(static_cast<std::size_t>(at_x), at_weight, at_y);
                ++at_weight;
            }
            ++at_y;
        }
    }

    std::vector<double> output(const std::vector<double>& of_x, const std::vector<double>& of_weight) const {
        std::vector<double> sums(static_cast<std::size_t>(cotape::element_count(y())));
        visit_terms([&](std::size_t i, std::size_t j, std::size_t k) { sums[k] += of_x[i] * of_weight[j]; });
        return sums;
    }
    std::vector<double> data(const std::vector<double>& of_y, const std::vector<double>& of_weight) const {
        std::vector<double> sums(static_cast<std::size_t>(cotape::element_count(x)));
        visit_terms([&](std::size_t i, std::size_t j, std::size_t k) { sums[i] += of_y[k] * of_weight[j]; });
        return sums;
    }
    std::vector<double> weights(const std::vector<double>& of_x, const std::vector<double>& of_y) const {
        std::vector<double> sums(static_cast<std::size_t>(cotape::element_count(weight)));
        visit_terms([&](std::size_t i, std::size_t j, std::size_t k) { sums[j] += of_x[i] * of_y[k]; });
        return sums;
    }
};

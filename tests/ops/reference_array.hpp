#pragma once

#include <functional>
#include <vector>

#include <cotape/core/tensor.hpp>

/// A plain array of doubles: what reference formulas are written on, without any of Cotape's ops or kernels.
struct Array {
    cotape::Shape shape;
    std::vector<double> values;

    explicit Array(const cotape::Tensor& tensor);
    /// Each element from its index.
    Array(const cotape::Shape& shape, const std::function<double(const cotape::Shape& index)>& element);

    /// The element at `index` of any shape that this one stretches to by NumPy's rule.
    double operator[](const cotape::Shape& index) const;
    double operator()(std::int64_t i) const { return (*this)[{i}]; }
    double operator()(std::int64_t i, std::int64_t j) const { return (*this)[{i, j}]; }
};

using Arrays = std::vector<Array>;
/// What an op computes, from its inputs.
using Reference = std::function<Array(const Arrays& inputs)>;

/// The indices of `shape` in row-major order.
std::vector<cotape::Shape> indices_of(const cotape::Shape& shape);

/// A function of single elements, broadcast.
Reference elementwise_reference(double (*function)(double));
Reference elementwise_reference(double (*function)(double, double));
Reference elementwise_reference(double (*function)(double, double, double));

/// A function of each group of elements along `axes` (not negative).
Reference reduced_reference(const cotape::Shape& axes, bool keep_dims,
                            const std::function<double(const std::vector<double>& group)>& function);

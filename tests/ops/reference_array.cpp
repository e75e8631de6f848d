#include "reference_array.hpp"

#include <algorithm>

using cotape::Shape;
using cotape::Tensor;

namespace {

/// The shape two others stretch to, which do fit.
Shape stretched(const Shape& a, const Shape& b) {
    Shape result(std::max(a.size(), b.size()), 1);
    for (const Shape& shape : {a, b})
        for (std::size_t i = 0; i < shape.size(); ++i)
            if (shape[shape.size() - 1 - i] != 1) result[result.size() - 1 - i] = shape[shape.size() - 1 - i];
    return result;
}

} // namespace

std::vector<Shape> indices_of(const Shape& shape) {
    std::vector<Shape> indices{Shape()};
    for (std::int64_t extent : shape) {
        std::vector<Shape> longer;
        for (const Shape& index : indices)
            for (std::int64_t i = 0; i < extent; ++i) {
                longer.push_back(index);
                longer.back().push_back(i);
            }
        indices = longer;
    }
    return indices;
}

Array::Array(const Tensor& tensor) : shape(tensor.shape()) {
    for (std::int64_t i = 0; i < tensor.size(); ++i) values.push_back(tensor.at(i));
}

Array::Array(const Shape& shape, const std::function<double(const Shape&)>& element) : shape(shape) {
    for (const Shape& index : indices_of(shape)) values.push_back(element(index));
}

double Array::operator[](const Shape& index) const {
    std::int64_t position = 0;
    std::size_t skipped = index.size() - shape.size();
    for (std::size_t i = 0; i < shape.size(); ++i)
        position = position * shape[i] + (shape[i] == 1 ? 0 : index[skipped + i]);
    return values.at(static_cast<std::size_t>(position));
}

Reference elementwise_reference(double (*function)(double)) {
    return [=](const Arrays& x) {
        return Array(x[0].shape, [&](const Shape& index) { return function(x[0][index]); });
    };
}

Reference elementwise_reference(double (*function)(double, double)) {
    return [=](const Arrays& x) {
        return Array(stretched(x[0].shape, x[1].shape),
                     [&](const Shape& index) { return function(x[0][index], x[1][index]); });
    };
}

Reference elementwise_reference(double (*function)(double, double, double)) {
    return [=](const Arrays& x) {
        return Array(stretched(stretched(x[0].shape, x[1].shape), x[2].shape),
                     [&](const Shape& index) { return function(x[0][index], x[1][index], x[2][index]); });
    };
}

Reference reduced_reference(const Shape& axes, bool keep_dims,
                            const std::function<double(const std::vector<double>&)>& function) {
    return [=](const Arrays& x) {
        auto is_reduced = [&](std::size_t axis) {
            return std::ranges::find(axes, static_cast<std::int64_t>(axis)) != axes.end();
        };
        Shape kept, reduced, result;
        for (std::size_t axis = 0; axis < x[0].shape.size(); ++axis) {
            kept.push_back(is_reduced(axis) ? 1 : x[0].shape[axis]);
            reduced.push_back(is_reduced(axis) ? x[0].shape[axis] : 1);
            if (keep_dims || !is_reduced(axis)) result.push_back(kept.back());
        }
        Array output(kept, [&](const Shape& index) {
            std::vector<double> group;
            for (Shape element : indices_of(reduced)) {
                for (std::size_t axis = 0; axis < element.size(); ++axis) element[axis] += index[axis];
                group.push_back(x[0][element]);
            }
            return function(group);
        });
        output.shape = result;
        return output;
    };
}

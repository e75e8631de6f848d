#include <cotape/nn/initializers.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/draws.hpp>
#include <cotape/core/error.hpp>

namespace cotape::nn {
namespace {

struct Fans {
    double in, out;
};

Fans fans_of(const char* initializer, const Shape& shape) {
    if (shape.size() < 2)
        throw ShapeError(fmt::format("{}: needs a weight of rank 2 or more, got {}", initializer, to_string(shape)));
    if (std::ranges::any_of(shape, [](std::int64_t extent) { return extent < 1; }))
        throw ShapeError(fmt::format("{}: needs a weight with elements, got {}", initializer, to_string(shape)));
    double rest = 1;
    for (std::size_t i = 2; i < shape.size(); ++i) rest *= static_cast<double>(shape[i]);
    return {static_cast<double>(shape[1]) * rest, static_cast<double>(shape[0]) * rest};
}

/// A normal draw, by Box and Muller.
double normal_draw(std::mt19937& random) {
    double radius = std::sqrt(-2 * std::log(1 - draw_uniform(random, 0, 1)));
    return radius * std::cos(2 * std::numbers::pi * draw_uniform(random, 0, 1));
}

/// The uniform distribution around 0 with a given deviation.
Tensor uniform_of_deviation(const Shape& shape, double deviation, std::mt19937& random) {
    double bound = std::sqrt(3) * deviation;
    return uniform(shape, -bound, bound, random);
}

} // namespace

Tensor uniform(const Shape& shape, double low, double high, std::mt19937& random) {
    return Tensor::make<float>(shape, [&](std::span<float> elements) {
        for (float& element : elements) element = static_cast<float>(draw_uniform(random, low, high));
    });
}

Tensor normal(const Shape& shape, double mean, double deviation, std::mt19937& random) {
    return Tensor::make<float>(shape, [&](std::span<float> elements) {
        for (float& element : elements) element = static_cast<float>(mean + deviation * normal_draw(random));
    });
}

Tensor kaiming_uniform(const Shape& shape, std::mt19937& random, double gain) {
    return uniform_of_deviation(shape, gain / std::sqrt(fans_of("kaiming_uniform", shape).in), random);
}

Tensor kaiming_normal(const Shape& shape, std::mt19937& random, double gain) {
    return normal(shape, 0, gain / std::sqrt(fans_of("kaiming_normal", shape).in), random);
}

Tensor xavier_uniform(const Shape& shape, std::mt19937& random, double gain) {
    Fans fans = fans_of("xavier_uniform", shape);
    return uniform_of_deviation(shape, gain * std::sqrt(2 / (fans.in + fans.out)), random);
}

Tensor xavier_normal(const Shape& shape, std::mt19937& random, double gain) {
    Fans fans = fans_of("xavier_normal", shape);
    return normal(shape, 0, gain * std::sqrt(2 / (fans.in + fans.out)), random);
}

Tensor orthogonal(const Shape& shape, std::mt19937& random, double gain) {
    fans_of("orthogonal", shape);
    std::size_t rows = static_cast<std::size_t>(shape[0]);
    std::size_t columns = static_cast<std::size_t>(element_count(shape)) / rows;
    std::size_t vectors = std::min(rows, columns), length = std::max(rows, columns);
    std::vector<std::vector<double>> basis;
    while (basis.size() < vectors) {
        std::vector<double> vector(length);
        for (double& element : vector) element = normal_draw(random);
        for (int pass = 0; pass < 2; ++pass) // Gram and Schmidt, twice: once loses digits
            for (const std::vector<double>& other : basis) {
                double overlap = 0;
                for (std::size_t i = 0; i < length; ++i) overlap += vector[i] * other[i];
                for (std::size_t i = 0; i < length; ++i) vector[i] -= overlap * other[i];
            }
        double norm = 0;
        for (double element : vector) norm += element * element;
        for (double& element : vector) element /= std::sqrt(norm);
        basis.push_back(std::move(vector));
    }
    return Tensor::make<float>(shape, [&](std::span<float> elements) {
        for (std::size_t row = 0; row < rows; ++row)
            for (std::size_t column = 0; column < columns; ++column) {
                double element = rows <= columns ? basis[row][column] : basis[column][row];
                elements[row * columns + column] = static_cast<float>(gain * element);
            }
    });
}

} // namespace cotape::nn

#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <omp.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/matmul.hpp>

using namespace cotape;

namespace {

Tensor scattered(const Shape& shape, Dtype dtype, double first) {
    return Tensor::make<double>(shape, [&](std::span<double> elements) {
               for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(12.9898 * (first + double(i)));
           }).as(dtype);
}

Tensor product(const Tensor& a, const Tensor& b, MatmulOptions options) {
    Tape tape;
    return matmul(tape.constant(a), tape.constant(b), options).value();
}

/// Element i of a vector by a matrix, or of a matrix by a vector: the matrix is [k, outputs], or transposed.
double element(const Tensor& matrix, bool transposed, const Tensor& vector, std::int64_t i) {
    std::int64_t k = vector.size(), outputs = matrix.size() / k;
    double sum = 0;
    for (std::int64_t j = 0; j < k; ++j) sum += matrix.at(transposed ? i * k + j : j * outputs + i) * vector.at(j);
    return sum;
}

/// Fails where `y` is not that product: each of k roundings errs by half an epsilon of a sum of k terms up to 1.
void check_elements(const Tensor& y, const Tensor& matrix, bool transposed, const Tensor& vector) {
    double epsilon = y.dtype() == Dtype::float32 ? std::numeric_limits<float>::epsilon()
                                                 : std::numeric_limits<double>::epsilon();
    for (std::int64_t i = 0; i < y.size(); ++i)
        REQUIRE(std::fabs(y.at(i) - element(matrix, transposed, vector, i)) <=
                epsilon / 2 * std::pow(vector.size(), 2));
}

} // namespace

// Lanes, chunks of rows and threads begin only beyond the sizes of the op table.
TEST_SUITE("ops") {
    TEST_CASE("a vector times a matrix is right for every size, layout and element type") {
        for (Dtype dtype : {Dtype::float32, Dtype::float64})
            for (std::int64_t k : {1, 15, 16, 17, 40, 784})
                for (std::int64_t outputs : {1, 10, 16, 17, 300})
                    for (bool transposed : {false, true})
                        for (bool of_vector : {false, true}) {
                            Shape matrix_shape = transposed ? Shape{outputs, k} : Shape{k, outputs};
                            Tensor matrix = scattered(matrix_shape, dtype, 1), vector = scattered({k}, dtype, 0.5);
                            CAPTURE(to_string(matrix.type()));
                            Tensor y = product(vector.reshaped(of_vector ? Shape{k, 1} : Shape{1, k}), matrix,
                                               {.transpose_a = of_vector, .transpose_b = transposed});
                            REQUIRE(to_string(y.shape()) == to_string(Shape{1, outputs}));
                            check_elements(y, matrix, transposed, vector);
                            y = product(matrix, vector.reshaped(of_vector ? Shape{1, k} : Shape{k, 1}),
                                        {.transpose_a = !transposed, .transpose_b = of_vector});
                            REQUIRE(to_string(y.shape()) == to_string(Shape{outputs, 1}));
                            check_elements(y, matrix, transposed, vector);
                        }
    }

    TEST_CASE("in a product with a vector NaN and infinity times 0 are NaN, in that element alone") {
        constexpr std::int64_t k = 40, outputs = 33;
        for (double odd : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
            for (Dtype dtype : {Dtype::float32, Dtype::float64})
                for (bool transposed : {false, true})
                    for (std::int64_t at : {0, 20, 39}) { // in the lanes, and behind them
                        Tensor matrix = Tensor::make<double>(
                            transposed ? Shape{outputs, k} : Shape{k, outputs}, [&](std::span<double> elements) {
                                std::ranges::fill(elements, 1);
                                elements[static_cast<std::size_t>(transposed ? 7 * k + at : at * outputs + 7)] = odd;
                            });
                        Tensor zeros = Tensor::full({1, k}, 0, dtype);
                        Tensor y = product(zeros, matrix.as(dtype), {.transpose_b = transposed});
                        for (std::int64_t i = 0; i < outputs; ++i) CHECK(std::isnan(y.at(i)) == (i == 7));
                    }
    }

    TEST_CASE("a vector times the rows of a matrix has the same bits for every number of threads") {
        int before = omp_get_max_threads();
        for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
            Tensor matrix = scattered({203, 784}, dtype, 1), vector = scattered({1, 784}, dtype, 0.5);
            omp_set_num_threads(1);
            Tensor alone = product(vector, matrix, {.transpose_b = true});
            omp_set_num_threads(3);
            Tensor together = product(vector, matrix, {.transpose_b = true});
            omp_set_num_threads(before);
            for (std::int64_t i = 0; i < alone.size(); ++i) REQUIRE(alone.at(i) == together.at(i));
        }
    }
}

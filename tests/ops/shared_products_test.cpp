#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include <cotape/core/tape.hpp>
#include <cotape/ops/matmul.hpp>

#include "../nn/numbers.hpp"

using namespace cotape;
using cotape::testing::scattered;

namespace {

/// An element of a product of matrices, each of them [rows, columns], or transposed.
double element(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, std::int64_t i, std::int64_t j) {
    std::int64_t terms = a.shape()[transpose_a ? 0 : 1];
    double sum = 0;
    for (std::int64_t t = 0; t < terms; ++t)
        sum += a.at(transpose_a ? t * a.shape()[1] + i : i * terms + t) *
               b.at(transpose_b ? j * terms + t : t * b.shape()[1] + j);
    return sum;
}

/// Compares products of these extents, transposed or not, on several threads, at some elements.
void check_products(std::int64_t rows, std::int64_t terms, std::int64_t columns) {
    CAPTURE(rows);
    CAPTURE(terms);
    CAPTURE(columns);
    struct Expected {
        std::int64_t place;
        double value;
    };
    for (bool transpose_a : {false, true})
        for (bool transpose_b : {false, true}) {
            CAPTURE(transpose_a);
            CAPTURE(transpose_b);
            Tensor a = scattered(transpose_a ? Shape{terms, rows} : Shape{rows, terms});
            Tensor b = scattered(transpose_b ? Shape{columns, terms} : Shape{terms, columns}, 1);
            std::vector<Expected> some;
            for (std::int64_t i = 0; i < rows; i += 1 + rows / 101)
                for (std::int64_t j = 0; j < columns; j += 13)
                    some.push_back({i * columns + j, element(a, transpose_a, b, transpose_b, i, j)});
            for (int threads : {1, 2, 3, 5}) {
                CAPTURE(threads);
                omp_set_num_threads(threads);
                Tape tape;
                MatmulOptions options{.transpose_a = transpose_a, .transpose_b = transpose_b};
                Tensor c = matmul(tape.constant(a), tape.constant(b), options).value();
                omp_set_num_threads(omp_get_num_procs());
                REQUIRE(c.shape() == Shape{rows, columns});
                // Each of the roundings errs by half an epsilon of a sum of terms up to 1.
                double bound = std::numeric_limits<float>::epsilon() / 2 * std::pow(terms, 2);
                for (const auto& [place, value] : some) REQUIRE(std::abs(c.at(place) - value) <= bound);
            }
        }
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("products of float32 matrices are right however many threads share their rows") {
        for (std::int64_t rows : {1, 15, 17, 31, 33, 64, 65, 100}) check_products(rows, 96, 80);
    }

    TEST_CASE("products of float32 matrices are right where rows a power of two apart are copied") {
        for (std::int64_t terms : {63, 64, 200, 2000}) {
            check_products(256, terms, 512);
            check_products(512, terms, 70);
            check_products(70, terms, 256);
            check_products(256, terms, 33);
        }
    }
}

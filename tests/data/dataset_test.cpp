#include <cotape/data/dataset.hpp>

#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

using namespace cotape;
using namespace cotape::data;

namespace {

Dataset four_rows() {
    return {Tensor::of<float>({4, 2}, {0, 1, 10, 11, 20, 21, 30, 31}), Tensor::of<std::int64_t>({4}, {5, 6, 7, 8})};
}

std::vector<float> inputs_of(const Dataset& dataset) {
    return {dataset.inputs.elements<float>().begin(), dataset.inputs.elements<float>().end()};
}

} // namespace

TEST_SUITE("data") {
    TEST_CASE("selecting rows keeps their order and repeats") {
        Dataset rows = select(four_rows(), std::vector<std::int64_t>{2, 0, 2});
        CHECK(rows.inputs.shape() == Shape{3, 2});
        CHECK(inputs_of(rows) == std::vector<float>{20, 21, 0, 1, 20, 21});
        CHECK(rows.labels.at(0) == 7);
        CHECK(rows.labels.at(1) == 5);
    }

    TEST_CASE("selecting keeps the shape and type of a row") {
        Dataset images{Tensor::full({3, 2, 4, 5}, 1, Dtype::float64), Tensor::full({3, 2}, 0, Dtype::float32)};
        Dataset rows = select(images, std::vector<std::int64_t>{1});
        CHECK(rows.inputs.type() == Type{{1, 2, 4, 5}, Dtype::float64});
        CHECK(rows.labels.type() == Type{{1, 2}, Dtype::float32});
        CHECK(select(images, {}).size() == 0);
    }

    TEST_CASE("taking gives the first rows") {
        CHECK(inputs_of(take(four_rows(), 2)) == std::vector<float>{0, 1, 10, 11});
        CHECK(take(four_rows(), 0).size() == 0);
        CHECK(take(four_rows(), 4).size() == 4);
        CHECK(take(Dataset{}, 0).size() == 0);
    }

    TEST_CASE("rows outside a dataset are refused") {
        CHECK_THROWS_WITH_AS(select(four_rows(), std::vector<std::int64_t>{1, 4}),
                             "select: expected rows of a dataset of 4, got row 4 at position 1", ValueError);
        CHECK_THROWS_WITH_AS(select(four_rows(), std::vector<std::int64_t>{-1}),
                             "select: expected rows of a dataset of 4, got row -1 at position 0", ValueError);
        CHECK_THROWS_WITH_AS(take(four_rows(), 5), "take: expected at most the 4 rows of the dataset, got a count of 5",
                             ValueError);
        CHECK_THROWS_WITH_AS(take(four_rows(), -1),
                             "take: expected at most the 4 rows of the dataset, got a count of -1", ValueError);
    }

    TEST_CASE("a dataset whose inputs and labels differ in rows is refused") {
        Dataset dataset{Tensor::full({4, 2}, 0), Tensor::full({3}, 0, Dtype::int64)};
        CHECK_THROWS_WITH_AS(dataset.size(),
                             "dataset: expected as many labels as inputs, got inputs [4, 2] and labels [3]",
                             ShapeError);
        dataset.labels = Tensor();
        CHECK_THROWS_WITH_AS(take(dataset, 1),
                             "dataset: expected as many labels as inputs, got inputs [4, 2] and labels []", ShapeError);
    }
}

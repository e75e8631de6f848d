#include <cotape/nn/metrics.hpp>

#include <cmath>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

using namespace cotape;

TEST_SUITE("nn") {
    TEST_CASE("accuracy is the share of rows whose largest logit stands at the label, in both element types") {
        Tensor logits = Tensor::of<double>({4, 3}, {1, 2, 3, 3, 2, 1, -1, 0, -2, 5, 5, 4});
        for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
            CHECK(nn::accuracy(logits.as(dtype), Tensor::of<std::int64_t>({4}, {2, 0, 1, 0})) == 1);
            CHECK(nn::accuracy(logits.as(dtype), Tensor::of<std::int64_t>({4}, {2, 0, 2, 1})) == 0.5);
            CHECK(nn::accuracy(logits.as(dtype), Tensor::of<std::int64_t>({4}, {0, 1, 0, 2})) == 0);
        }
    }

    TEST_CASE("a row with a NaN counts as wrong, one with infinities by its largest") {
        Tensor logits = Tensor::of<float>({3, 2}, {NAN, 1, 2, NAN, -INFINITY, INFINITY});
        CHECK(nn::accuracy(logits, Tensor::of<std::int64_t>({3}, {1, 0, 1})) == doctest::Approx(1 / 3.0));
    }

    TEST_CASE("accuracy refuses what does not fit together") {
        Tensor logits = Tensor::full({2, 3}, 0), labels = Tensor::full({2}, 0, Dtype::int64);
        CHECK_THROWS_WITH_AS(nn::accuracy(logits, Tensor::full({2}, 0)),
                             "accuracy: needs floating logits and int64 labels, got float32 and float32", DtypeError);
        CHECK_THROWS_WITH_AS(nn::accuracy(labels, labels),
                             "accuracy: needs floating logits and int64 labels, got int64 and int64", DtypeError);
        CHECK_THROWS_WITH_AS(nn::accuracy(logits, Tensor::full({3}, 0, Dtype::int64)),
                             "accuracy: needs logits [N, classes] and labels [N], got [2, 3] and [3]", ShapeError);
        CHECK_THROWS_WITH_AS(nn::accuracy(Tensor::full({2}, 0), labels),
                             "accuracy: needs logits [N, classes] and labels [N], got [2] and [2]", ShapeError);
        CHECK_THROWS_WITH_AS(nn::accuracy(Tensor::full({0, 3}, 0), Tensor::full({0}, 0, Dtype::int64)),
                             "accuracy: needs logits [N, classes] and labels [N], got [0, 3] and [0]", ShapeError);
    }
}

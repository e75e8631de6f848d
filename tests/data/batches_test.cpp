#include <cotape/data/batches.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

using namespace cotape;
using namespace cotape::data;

static_assert(std::ranges::input_range<Batches>);
static_assert(std::ranges::sized_range<Batches>);

namespace {

using Rows = std::vector<std::int64_t>;

/// Row i has label i and the inputs 2 i and 2 i + 1.
Dataset counted(std::int64_t rows) {
    std::vector<float> inputs(static_cast<std::size_t>(2 * rows));
    std::iota(inputs.begin(), inputs.end(), 0.0f);
    Rows labels(static_cast<std::size_t>(rows));
    std::iota(labels.begin(), labels.end(), 0);
    return {Tensor::of({rows, 2}, inputs), Tensor::of({rows}, labels)};
}

Rows sizes(const Batches& range) {
    Rows result;
    for (const Dataset& batch : range) result.push_back(batch.size());
    CHECK(range.size() == static_cast<std::int64_t>(result.size()));
    return result;
}

Rows labels_of_all(const Batches& range) {
    Rows result;
    for (const auto& [inputs, labels] : range)
        for (std::int64_t i = 0; i < labels.size(); ++i) {
            CHECK(inputs.at(2 * i) == 2 * labels.at(i));
            CHECK(inputs.at(2 * i + 1) == 2 * labels.at(i) + 1);
            result.push_back(static_cast<std::int64_t>(labels.at(i)));
        }
    return result;
}

Rows in_order(std::int64_t rows) {
    Rows result(static_cast<std::size_t>(rows));
    std::iota(result.begin(), result.end(), 0);
    return result;
}

} // namespace

TEST_SUITE("data") {
    TEST_CASE("a last batch that is short is kept, dropped or merged") {
        Dataset ten = counted(10);
        CHECK(sizes(batches(ten, 4)) == Rows{4, 4, 2});
        CHECK(sizes(batches(ten, 4, {.last = LastBatch::drop})) == Rows{4, 4});
        CHECK(sizes(batches(ten, 4, {.last = LastBatch::merge})) == Rows{4, 6});
        CHECK(sizes(batches(ten, 3)) == Rows{3, 3, 3, 1});
        CHECK(sizes(batches(ten, 3, {.last = LastBatch::drop})) == Rows{3, 3, 3});
        CHECK(sizes(batches(ten, 3, {.last = LastBatch::merge})) == Rows{3, 3, 4});
        for (LastBatch last : {LastBatch::keep, LastBatch::drop, LastBatch::merge})
            CHECK(sizes(batches(ten, 5, {.last = last})) == Rows{5, 5});
    }

    TEST_CASE("a batch larger than the dataset holds all of it") {
        CHECK(sizes(batches(counted(3), 4)) == Rows{3});
        CHECK(sizes(batches(counted(3), 4, {.last = LastBatch::merge})) == Rows{3});
        CHECK(sizes(batches(counted(3), std::numeric_limits<std::int64_t>::max())) == Rows{3});
    }

    TEST_CASE("batches without a generator come in order") {
        CHECK(labels_of_all(batches(counted(10), 4)) == in_order(10));
        CHECK(labels_of_all(batches(counted(10), 4, {.last = LastBatch::merge, .prefetch = false})) == in_order(10));
    }

    TEST_CASE("shuffled batches hold every row once, in an order that the seed alone decides") {
        std::mt19937 random(1);
        std::mt19937 again(1);
        Rows order = labels_of_all(batches(counted(10), 4, random));
        CHECK(order == Rows{0, 4, 7, 3, 6, 2, 8, 1, 5, 9});
        CHECK(labels_of_all(batches(counted(10), 4, again, {.prefetch = false})) == order);
        CHECK(labels_of_all(batches(counted(10), 4, again)) != order);
        std::ranges::sort(order);
        CHECK(order == in_order(10));
    }

    TEST_CASE("every pass over the same batches has a new order") {
        std::mt19937 random(1);
        Batches range = batches(counted(100), 7, random);
        CHECK(labels_of_all(range) != labels_of_all(range));
    }

    TEST_CASE("without shuffling the generator is not touched") {
        std::mt19937 random(1);
        CHECK(labels_of_all(batches(counted(10), 4, random, {.shuffle = false})) == in_order(10));
        CHECK(random == std::mt19937(1));
    }

    TEST_CASE("each order of a shuffle is as likely as the others") {
        std::mt19937 random(5);
        Rows counts(27);
        for (int i = 0; i < 6000; ++i) {
            Rows order = labels_of_all(batches(counted(3), 3, random, {.prefetch = false}));
            ++counts[static_cast<std::size_t>(9 * order[0] + 3 * order[1] + order[2])];
        }
        // 1000 of each of 6 orders, with a standard deviation of 29.
        for (std::size_t code : {5, 7, 11, 15, 19, 21}) CHECK(std::abs(counts[code] - 1000) < 150);
    }

    TEST_CASE("a pass may end early and leave the rest alone") {
        std::mt19937 random(1);
        for (int stop = 0; stop < 4; ++stop) {
            int seen = 0;
            for (const Dataset& batch : batches(counted(100), 10, random)) {
                CHECK(batch.size() == 10);
                if (seen++ == stop) break;
            }
            CHECK(seen == stop + 1);
        }
        CHECK_THROWS_AS(
            [&] {
                for ([[maybe_unused]] const Dataset& batch : batches(counted(100), 10, random))
                    throw std::runtime_error("from the loop");
            }(),
            std::runtime_error);
    }

    TEST_CASE("the tensors of a batch outlive the pass and the dataset") {
        Dataset first = *batches(counted(4), 2).begin();
        CHECK(first.labels.at(1) == 1);
    }

    TEST_CASE("prefetched batches are assembled on another thread, in order and one ahead") {
        std::vector<std::thread::id> threads;
        std::atomic<int> assembled = 0;
        Batches range = batches(counted(8), 2, {.transform = [&](const Dataset& batch) {
                                    threads.push_back(std::this_thread::get_id());
                                    ++assembled;
                                    return Dataset{batch.inputs, Tensor::full({batch.size()}, assembled)};
                                }});
        int used = 0;
        for (const Dataset& batch : range) {
            CHECK(batch.labels.at(0) == ++used);
            CHECK(assembled <= used + 1);
        }
        CHECK(assembled == 4);
        CHECK(threads[1] != std::this_thread::get_id());
    }

    TEST_CASE("what assembling a batch throws reaches the loop, and the pass is over") {
        for (bool prefetch : {false, true})
            for (int failing = 0; failing < 3; ++failing) {
                CAPTURE(prefetch);
                CAPTURE(failing);
                int assembled = 0;
                Batches range = batches(counted(6), 2, {.prefetch = prefetch, .transform = [&](const Dataset& batch) {
                                            if (assembled++ == failing) throw std::runtime_error("from the transform");
                                            return batch;
                                        }});
                int used = 0;
                CHECK_THROWS_WITH_AS(
                    [&] {
                        for ([[maybe_unused]] const Dataset& batch : range) ++used;
                    }(),
                    "from the transform", std::runtime_error);
                CHECK(used == failing);
            }
    }

    TEST_CASE("an iterator whose pass failed is at the end") {
        int assembled = 0;
        Batches range = batches(counted(6), 2, {.prefetch = false, .transform = [&](const Dataset& batch) {
                                    if (assembled++ == 1) throw std::runtime_error("from the transform");
                                    return batch;
                                }});
        Batches::Iterator iterator = range.begin();
        CHECK_THROWS_AS(++iterator, std::runtime_error);
        CHECK(iterator == range.end());
        ++iterator;
        CHECK(iterator == range.end());
    }

    TEST_CASE("batches that cannot be made are refused before the first") {
        std::mt19937 random(1);
        CHECK_THROWS_WITH_AS(batches(counted(4), 0, random), "batches: expected a batch size of at least 1, got 0",
                             ValueError);
        CHECK_THROWS_WITH_AS(batches(counted(4), -1), "batches: expected a batch size of at least 1, got -1",
                             ValueError);
        CHECK_THROWS_WITH_AS(batches(counted(0), 4, random), "batches: expected at least one row, got an empty dataset",
                             ValueError);
        CHECK_THROWS_WITH_AS(batches(Dataset{}, 4), "batches: expected at least one row, got an empty dataset",
                             ValueError);
        CHECK_THROWS_WITH_AS(batches(counted(3), 4, random, {.last = LastBatch::drop}),
                             "batches: expected at least one full batch where the last is dropped, got 3 rows for "
                             "batches of 4",
                             ValueError);
        CHECK_THROWS_WITH_AS(batches({Tensor::full({4, 2}, 0), Tensor::full({3}, 0, Dtype::int64)}, 2),
                             "dataset: expected as many labels as inputs, got inputs [4, 2] and labels [3]",
                             ShapeError);
        CHECK(random == std::mt19937(1));
    }

    TEST_CASE("a last batch of one row can be refused before the training") {
        std::mt19937 random(1);
        CHECK_THROWS_WITH_AS(batches(counted(9), 4, random, {.smallest = 2}),
                             "batches: expected at least 2 rows in every batch, but 9 rows in batches of 4 leave one "
                             "of 1; drop or merge the last batch",
                             ValueError);
        CHECK(sizes(batches(counted(9), 4, random)) == Rows{4, 4, 1});
        CHECK(sizes(batches(counted(9), 4, random, {.last = LastBatch::drop, .smallest = 2})) == Rows{4, 4});
        CHECK(sizes(batches(counted(9), 4, random, {.last = LastBatch::merge, .smallest = 2})) == Rows{4, 5});
        CHECK_THROWS_WITH_AS(batches(counted(9), 1, random, {.smallest = 2}),
                             "batches: expected at least 2 rows in every batch, but 9 rows in batches of 1 leave one "
                             "of 1",
                             ValueError);
        CHECK_THROWS_AS(batches(counted(1), 4, random, {.last = LastBatch::merge, .smallest = 2}), ValueError);
    }
}

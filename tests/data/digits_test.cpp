#include <cotape/data/digits.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/data/batches.hpp>

using namespace cotape;
using namespace cotape::data;

namespace {

/// Softmax regression by gradient descent, free of the rest of the library.
class LinearClassifier {
  public:
    void train(const Dataset& batch, float rate) {
        auto pixels = batch.inputs.elements<float>();
        for (std::int64_t label : batch.labels.elements<std::int64_t>()) {
            Scores scores = evaluate(pixels.first(784));
            float highest = *std::ranges::max_element(scores);
            for (float& score : scores) score = std::exp(score - highest);
            float sum = std::accumulate(scores.begin(), scores.end(), 0.0f);
            for (float& score : scores) score /= sum;
            scores[static_cast<std::size_t>(label)] -= 1;
            for (std::size_t i = 0; i < 784; ++i)
                if (pixels[i] != 0)
                    for (std::size_t c = 0; c < 10; ++c) weights_[i][c] -= rate * pixels[i] * scores[c];
            for (std::size_t c = 0; c < 10; ++c) bias_[c] -= rate * scores[c];
            pixels = pixels.subspan(784);
        }
    }

    double accuracy(const Dataset& dataset) const {
        auto pixels = dataset.inputs.elements<float>();
        double right = 0;
        for (std::int64_t label : dataset.labels.elements<std::int64_t>()) {
            Scores scores = evaluate(pixels.first(784));
            right += std::ranges::max_element(scores) - scores.begin() == label;
            pixels = pixels.subspan(784);
        }
        return right / double(dataset.size());
    }

  private:
    using Scores = std::array<float, 10>;

    Scores evaluate(std::span<const float> pixels) const {
        Scores scores = bias_;
        for (std::size_t i = 0; i < pixels.size(); ++i)
            if (pixels[i] != 0)
                for (std::size_t c = 0; c < 10; ++c) scores[c] += pixels[i] * weights_[i][c];
        return scores;
    }

    std::vector<Scores> weights_ = std::vector<Scores>(784);
    Scores bias_{};
};

bool same(const Tensor& a, const Tensor& b) {
    return a.type() == b.type() && std::ranges::equal(a.elements<float>(), b.elements<float>());
}

} // namespace

TEST_SUITE("data") {
    TEST_CASE("generated digits have the form and statistics of MNIST") {
        auto [train, test] = digits(10000, 500, 1);
        CHECK(train.inputs.type() == Type{{10000, 784}, Dtype::float32});
        CHECK(train.labels.type() == Type{{10000}, Dtype::int64});
        CHECK(test.size() == 500);

        std::vector<std::int64_t> counts(10);
        for (std::int64_t label : train.labels.elements<std::int64_t>()) ++counts.at(static_cast<std::size_t>(label));
        // 1000 of each, with a standard deviation of 30.
        for (std::int64_t count : counts) CHECK(std::abs(count - 1000) < 120);

        auto [lowest, highest] = std::ranges::minmax(train.inputs.elements<float>());
        CHECK(lowest == 0);
        CHECK(highest == 1);
        double sum = 0;
        double squares = 0;
        for (float pixel : train.inputs.elements<float>()) {
            sum += pixel;
            squares += double(pixel) * pixel;
        }
        double mean = sum / double(train.inputs.size());
        CHECK(mean == doctest::Approx(0.13).epsilon(0.05));
        CHECK(std::sqrt(squares / double(train.inputs.size()) - mean * mean) == doctest::Approx(0.31).epsilon(0.05));
    }

    TEST_CASE("a seed gives the same digits everywhere") {
        Dataset train = digits(20, 0, 1).train;
        CHECK(std::ranges::equal(train.labels.elements<std::int64_t>().first(10),
                                 std::vector<std::int64_t>{6, 4, 3, 3, 1, 8, 8, 5, 7, 3}));
        double ink = 0;
        for (float pixel : train.inputs.elements<float>()) ink += 255 * double(pixel);
        // A compiler that contracts products and sums may round a few of the pixels to the level next to it.
        CHECK(ink == doctest::Approx(479115).epsilon(1e-5));
    }

    TEST_CASE("generated digits depend on the seed, and more of them begin with the same") {
        Mnist some = digits(20, 10, 3);
        Mnist more = digits(30, 15, 3);
        CHECK(same(take(more.train, 20).inputs, some.train.inputs));
        CHECK(same(take(more.test, 10).inputs, some.test.inputs));
        CHECK(!same(digits(20, 10, 4).train.inputs, some.train.inputs));
        CHECK(!same(take(some.train, 10).inputs, some.test.inputs));
    }

    TEST_CASE("no two generated digits are alike, and none is blank") {
        Dataset train = digits(2000, 0, 9).train;
        std::vector<std::vector<float>> images;
        auto pixels = train.inputs.elements<float>();
        for (std::int64_t i = 0; i < train.size(); ++i, pixels = pixels.subspan(784)) {
            images.emplace_back(pixels.begin(), pixels.begin() + 784);
            CHECK(std::accumulate(images.back().begin(), images.back().end(), 0.0f) > 10);
        }
        std::ranges::sort(images);
        CHECK(std::ranges::adjacent_find(images) == images.end());
    }

    TEST_CASE("a linear classifier learns generated digits, but not to the end") {
        auto [train, test] = digits(12000, 3000, 7);
        std::mt19937 random(1);
        LinearClassifier classifier;
        for (float rate : {0.01f, 0.005f, 0.002f, 0.001f, 0.0005f})
            for (const Dataset& batch : batches(train, 1000, random)) classifier.train(batch, rate);
        double accuracy = classifier.accuracy(test);
        MESSAGE("linear accuracy on generated digits: " << accuracy);
        CHECK(accuracy > 0.80);
        CHECK(accuracy < 0.97);
    }

    TEST_CASE("a negative count of digits is refused") {
        CHECK_THROWS_WITH_AS(digits(-1, 10, 1),
                             "digits: expected counts of at least 0, got -1 to train with and 10 to test with",
                             ValueError);
    }
}

#include "layer_works.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/batch_norm_lstm.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/lstm.hpp>
#include <cotape/nn/sequential.hpp>

#include "batch_norm_by_hand.hpp"

namespace works {
namespace {

using namespace cotape;

/// Random inputs of a layer and cotangents of its outputs, a few of each, which take turns.
class Batches {
  public:
    Batches(const Shape& input, const Shape& output, std::size_t count) {
        std::mt19937 random(1);
        for (std::size_t i = 0; i < count; ++i)
            batches_.push_back({nn::uniform(input, -1, 1, random), nn::uniform(output, -1, 1, random)});
    }
    struct Batch {
        Tensor input, seed;
    };
    const Batch& next() { return batches_[next_++ % batches_.size()]; }

  private:
    std::vector<Batch> batches_;
    std::size_t next_ = 0;
};

/// A step of `module` on inputs of this shape and cotangents of outputs of that.
std::function<void()> differentiate(std::shared_ptr<nn::Module> module, const Shape& input, const Shape& output,
                                    std::size_t batches) {
    struct Differentiating {
        std::shared_ptr<nn::Module> module;
        std::vector<nn::Named<nn::Parameter>> parameters;
        Batches batches;
    };
    auto work = std::make_shared<Differentiating>(module, module->parameters(), Batches(input, output, batches));
    return [work] {
        const auto& [of_batch, seed] = work->batches.next();
        Tape tape;
        Var x = tape.variable(of_batch);
        Var y = (*work->module)(x);
        std::vector<Var> wanted{x};
        for (const auto& [path, parameter] : work->parameters) wanted.push_back(tape.variable(parameter));
        std::vector<Var> results = gradients(y, wanted, tape.constant(seed));
        results.push_back(y);
        commit(tape, results);
    };
}

const Shape features_shape{256, 1024};
constexpr std::size_t feature_batches = 8;

constexpr std::int64_t images = 64, channels = 64, height = 56, width = 56;
const Shape images_shape{images, channels, height, width};
/// Two batches of images do not fit into any cache.
constexpr std::size_t image_batches = 2;

} // namespace

std::function<void()> normalize_features() {
    auto layer = std::make_shared<nn::BatchNorm1d>(features_shape[1]);
    return differentiate(layer, features_shape, features_shape, feature_batches);
}

std::function<void()> copy_features() {
    struct Copying {
        Batches batches{features_shape, features_shape, feature_batches};
        std::vector<float> y, x_gradient;
    };
    auto work = std::make_shared<Copying>();
    work->y.resize(static_cast<std::size_t>(element_count(features_shape)));
    work->x_gradient.resize(work->y.size());
    return [work] {
        const auto& [input, seed] = work->batches.next();
        std::span<const float> x = input.elements<float>(), g = seed.elements<float>();
        std::ptrdiff_t columns = features_shape[1];
#pragma omp parallel for
        for (std::ptrdiff_t row = 0; row < features_shape[0]; ++row) {
            std::copy_n(x.begin() + row * columns, columns, work->y.begin() + row * columns);
            std::copy_n(g.begin() + row * columns, columns, work->x_gradient.begin() + row * columns);
        }
    };
}

std::function<void()> normalize_images() {
    auto net = std::make_shared<nn::Sequential>(nn::BatchNorm2d(channels), nn::Relu());
    return differentiate(net, images_shape, images_shape, image_batches);
}

std::function<void()> normalize_images_by_hand() {
    struct Normalizing {
        BatchNormByHand kernel{images, channels, height * width};
        Batches batches{images_shape, images_shape, image_batches};
    };
    auto work = std::make_shared<Normalizing>();
    return [work] {
        const auto& [input, seed] = work->batches.next();
        work->kernel.run(input.elements<float>().data(), seed.elements<float>().data());
    };
}

std::function<void()> unroll_lstm() {
    std::mt19937 random(1);
    return differentiate(std::make_shared<nn::LSTM>(28, 128, random), {28, 64, 28}, {28, 64, 128}, 8);
}

std::function<void()> unroll_batch_norm_lstm() {
    std::mt19937 random(1);
    return differentiate(std::make_shared<nn::BatchNormLSTM>(28, 128, 28, random), {28, 64, 28}, {28, 64, 128}, 8);
}

} // namespace works

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

/// A step of `module` on inputs of this shape, which take turns, as do the cotangents of its outputs.
std::function<void()> differentiate(std::shared_ptr<nn::Module> module, const Shape& input, const Shape& output,
                                    std::size_t batches) {
    struct Differentiating {
        std::shared_ptr<nn::Module> module;
        std::vector<nn::Named<nn::Parameter>> parameters;
        std::vector<Tensor> inputs, seeds;
        std::size_t next = 0;
    };
    auto work = std::make_shared<Differentiating>(Differentiating{module, module->parameters(), {}, {}});
    std::mt19937 random(1);
    for (std::size_t i = 0; i < batches; ++i) {
        work->inputs.push_back(nn::uniform(input, -1, 1, random));
        work->seeds.push_back(nn::uniform(output, -1, 1, random));
    }
    return [work, batches] {
        std::size_t batch = work->next++ % batches;
        Tape tape;
        Var x = tape.variable(work->inputs[batch]);
        Var y = (*work->module)(x);
        std::vector<Var> wanted{x};
        for (const auto& [path, parameter] : work->parameters) wanted.push_back(tape.variable(parameter));
        std::vector<Var> results = gradients(y, wanted, tape.constant(work->seeds[batch]));
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
        std::vector<Tensor> inputs, seeds;
        std::vector<float> y, x_gradient;
        std::size_t next = 0;
    };
    auto work = std::make_shared<Copying>();
    std::mt19937 random(1);
    for (std::size_t i = 0; i < feature_batches; ++i) {
        work->inputs.push_back(nn::uniform(features_shape, -1, 1, random));
        work->seeds.push_back(nn::uniform(features_shape, -1, 1, random));
    }
    work->y.resize(static_cast<std::size_t>(element_count(features_shape)));
    work->x_gradient.resize(work->y.size());
    return [work] {
        std::size_t batch = work->next++ % feature_batches;
        std::span<const float> x = work->inputs[batch].elements<float>(), g = work->seeds[batch].elements<float>();
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
        std::vector<Tensor> inputs, seeds;
        std::size_t next = 0;
    };
    auto work = std::make_shared<Normalizing>();
    std::mt19937 random(1);
    for (std::size_t i = 0; i < image_batches; ++i) {
        work->inputs.push_back(nn::uniform(images_shape, -1, 1, random));
        work->seeds.push_back(nn::uniform(images_shape, -1, 1, random));
    }
    return [work] {
        std::size_t batch = work->next++ % image_batches;
        work->kernel.run(work->inputs[batch].elements<float>().data(), work->seeds[batch].elements<float>().data());
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

// The first thing a program does: a batch-normalised net makes one training step. measure_start.py times the process.
#include <random>

#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/nn/sgd.hpp>
#include <cotape/ops/losses.hpp>

using namespace cotape;

int main() {
    std::mt19937 random(1);
    nn::Sequential net(nn::Linear(784, 256, {.bias = false}, random), nn::BatchNorm1d(256), nn::Relu(),
                       nn::Linear(256, 10, random));
    nn::Sgd optimizer(net, {.learning_rate = 0.1});
    std::vector<std::int64_t> labels(128);
    for (std::int64_t& label : labels) label = static_cast<std::int64_t>(random() % 10);
    Tape tape;
    Var loss = cross_entropy(net(tape.constant(nn::uniform({128, 784}, 0, 1, random))), Tensor::of({128}, labels));
    optimizer.step(loss);
    return loss.item() > 0 ? 0 : 1;
}

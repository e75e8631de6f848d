// Batch normalisation on MNIST: the same net with and without, trained on the same batches.
//
// Expect: the gradient check of the batch-normalised net passes; from the first epoch on that net is far ahead, and a
// little better still in evaluation mode, where the statistics of the whole training set normalise.

#include <CLI/CLI.hpp>

#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/linear.hpp>

#include "comparison/hidden_layers.hpp"
#include "comparison/program.hpp"

namespace {

using namespace cotape;
using comparison::HiddenLayers;

constexpr const char* description =
    "Trains two nets on the same batches of MNIST, one with batch normalisation and one without, and compares\n"
    "them. The batch-normalised net is gradient-checked first. Each epoch's row gives the training loss, and the\n"
    "test accuracy normalised with the test batch's own statistics (training mode) and with the running ones\n"
    "(evaluation mode). The last row gives it with the exact statistics of the whole training set in place of the\n"
    "running ones.\n";

constexpr const char* examples =
    "  mnist_batchnorm --epochs 10                                the accuracies of the README\n"
    "  mnist_batchnorm --optimizer adam --schedule cosine         Adam, its step size falling to 0\n"
    "  mnist_batchnorm --learning-rate 0.5 --epochs 3             batch norm bears rates that stop the plain net\n"
    "  mnist_batchnorm --hidden 100,100,100 --activation sigmoid --batch 60    the net of the batch-norm paper\n"
    "  mnist_batchnorm --metrics run.jsonl --plot run.svg         for machines, and for people\n";

/// Linear layers with the activation between them; batch norm, where asked for, stands before the activation, and the
/// layer before it has no bias.
nn::Sequential make_net(const HiddenLayers& layers, std::uint32_t seed, bool batch_norm) {
    std::mt19937 random(seed);
    nn::Sequential net;
    std::int64_t inputs = 784;
    for (std::int64_t width : layers.sizes) {
        net.add(nn::Linear(inputs, width, {.bias = !batch_norm}, random));
        if (batch_norm) net.add(nn::BatchNorm1d(width));
        comparison::add_activation(net, layers.activation);
        inputs = width;
    }
    net.add(nn::Linear(inputs, 10, random));
    return net;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app(description, "mnist_batchnorm");
    app.footer(comparison::footer(examples));
    HiddenLayers layers{.sizes = {256, 256}};
    add_options(app, layers, "Widths of the hidden layers, separated by commas");
    return comparison::run_program(app, argc, argv, {}, [&](const comparison::Options& options) {
        return comparison::with_and_without_batch_norm(
            [&](bool batch_norm) { return make_net(layers, options.seed, batch_norm); });
    });
}

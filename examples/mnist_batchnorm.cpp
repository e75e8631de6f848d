// Batch normalisation on MNIST: the same net with and without, trained on the same batches.
//
// Expect: the gradient check of the batch-normalised net passes; from the first epoch on that net is far ahead, and a
// little better still in evaluation mode, where the statistics of the whole training set normalise.

#include <cstdio>
#include <fstream>

#include <fmt/format.h>
#include <omp.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/losses.hpp>

#include "comparison/experiment.hpp"
#include "comparison/plot.hpp"
#include "comparison/report.hpp"

namespace {

using namespace cotape;
using comparison::Options;

void add_activation(nn::Sequential& net, const std::string& name) {
    if (name == "relu") net.add(nn::Relu());
    if (name == "sigmoid") net.add(nn::Sigmoid());
    if (name == "tanh") net.add(nn::Tanh());
}

/// Linear layers with the activation between them; batch norm, where asked for, stands before the activation, and the
/// layer before it has no bias.
nn::Sequential make_net(const Options& options, bool batch_norm) {
    std::mt19937 random(options.seed);
    nn::Sequential net;
    std::int64_t inputs = 784;
    for (std::int64_t width : options.hidden) {
        net.add(nn::Linear(inputs, width, {.bias = !batch_norm}, random));
        if (batch_norm) net.add(nn::BatchNorm1d(width));
        add_activation(net, options.activation);
        inputs = width;
    }
    net.add(nn::Linear(inputs, 10, random));
    return net;
}

/// Checks the gradients of the net's loss on a few examples.
GradientCheckReport check(nn::Sequential& net, const data::Dataset& examples) {
    return nn::check_gradients(net, examples.inputs,
                               [&](Var logits) { return cross_entropy(logits, examples.labels); });
}

void write_plot(const std::string& file, const std::vector<comparison::Result>& results) {
    using comparison::Curve;
    std::vector<Curve> losses, accuracies;
    for (const char* net : {"plain", "batchnorm"}) {
        Curve loss{net, net, {}, {}}, train_mode{std::string(net) + ", training mode", net, {}, {}, true};
        Curve eval_mode{std::string(net) + ", evaluation mode", net, {}, {}};
        for (const comparison::Result& result : results) {
            if (result.net != net) continue;
            for (Curve* curve : {&loss, &train_mode, &eval_mode}) curve->x.push_back(result.epoch);
            loss.y.push_back(result.train_loss);
            train_mode.y.push_back(100 * result.test_accuracy_train_mode);
            eval_mode.y.push_back(100 * result.test_accuracy_eval_mode);
        }
        losses.push_back(loss);
        accuracies.push_back(train_mode);
        accuracies.push_back(eval_mode);
    }
    std::ofstream stream(file);
    stream << comparison::to_svg({{"Training loss", "epoch", "cross entropy", losses},
                                  {"Test accuracy", "epoch", "%", accuracies}});
    stream.close();
    if (!stream) throw DataError(fmt::format("write: {} could not be written in full", file));
}

int run(const Options& options) {
    if (options.threads > 0) omp_set_num_threads(options.threads);
    for (const std::string& file : {options.metrics, options.plot})
        if (!file.empty()) comparison::require_writable(file);
    data::Mnist digits = comparison::load_digits(options);
    nn::Sequential plain = make_net(options, false), normalized = make_net(options, true);
    fmt::print("\nThe batch-normalised net:\n{}\n", nn::summary(normalized));
    GradientCheckReport verdict = check(normalized, data::take(digits.train, 16));
    fmt::print("Its loss's {}\n", to_string(verdict));
    if (verdict.verdict == Verdict::fail) return 1;

    comparison::Report report(options.metrics);
    bool finished = comparison::train_and_compare({{"plain", plain}, {"batchnorm", normalized}}, digits, options,
                                                  [&](const comparison::Result& result) { report.add(result); });
    if (!options.plot.empty()) write_plot(options.plot, report.results());
    return finished ? 0 : 130;
}

} // namespace

int main(int argc, char** argv) {
    Options options;
    if (std::optional<int> status = comparison::parse(argc, argv, options)) return *status;
    try {
        int status = run(options);
        if (std::fflush(stdout) != 0) throw DataError("write: standard output could not be written in full");
        return status;
    } catch (const std::exception& error) {
        fmt::print(stderr, "mnist_batchnorm: {}\n", error.what());
        return 1;
    }
}

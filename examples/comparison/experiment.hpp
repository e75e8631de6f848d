#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <cotape/data/mnist.hpp>
#include <cotape/nn/optimizer.hpp>
#include <cotape/nn/sequential.hpp>

#include "options.hpp"

namespace comparison {

/// One of the nets that are compared.
struct Contestant {
    /// As the metrics name it.
    std::string name;
    std::unique_ptr<cotape::nn::Module> net;
    /// "The ... net" is shown and gradient-checked before the training; empty for a net that is not.
    std::string introduction;

    template <std::derived_from<cotape::nn::Module> Net>
    static Contestant of(std::string name, Net net, std::string introduction = "") {
        return {std::move(name), std::make_unique<Net>(std::move(net)), std::move(introduction)};
    }
};

/// The net that `make` makes without batch norm, "plain", and the one that it makes with it, "batchnorm", which is
/// introduced.
std::vector<Contestant> with_and_without_batch_norm(
    const std::function<cotape::nn::Sequential(bool batch_norm)>& make);

/// One row of the results.
struct Result {
    std::string net;
    int epoch;
    double train_loss;
    double test_accuracy_train_mode;
    double test_accuracy_eval_mode;
    double seconds;
    /// In evaluation mode, normalised with the exact statistics of the training set instead of the running ones: after
    /// the last epoch of a net with normalisers, unless its activations are no longer finite.
    std::optional<double> test_accuracy_population = {};
    /// With the last epoch: the number of steps after which the training loss was below the target, if it was.
    std::optional<std::int64_t> steps_to_target = {};
    /// With the last epoch: whether there was a target, and the loss was never below it.
    bool missed_target = false;
};

/// The digits to learn: MNIST from --data, $COTAPE_MNIST or data/mnist, else generated ones. Says which on standard
/// output. Throws cotape::DataError where --data names no complete MNIST.
cotape::data::Mnist load_digits(const Options& options);

/// Throws cotape::ValueError where a batch takes more training examples than there are, or the test set is too small to
/// be normalised.
void require_enough(const cotape::data::Mnist& digits, std::int64_t batch);

std::unique_ptr<cotape::nn::Optimizer> make_optimizer(cotape::nn::Module& net, const Options& options);

/// Trains every contestant on the same batches, epoch by epoch, and hands over each row as it is complete. Stops after
/// the step under way when an interrupt is noted (NoteInterrupts), and says so on standard error; returns false then.
bool train_and_compare(const std::vector<Contestant>& contestants, const cotape::data::Mnist& digits,
                       const Options& options, const std::function<void(const Result&)>& report);

} // namespace comparison

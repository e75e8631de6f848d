#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <cotape/data/mnist.hpp>

namespace paper_figure1 {

struct RunOptions {
    std::int64_t steps = 50000;
    /// Steps from one measurement to the next.
    std::int64_t every = 500;
    std::int64_t batch = 60;
    double learning_rate = 0.1;
    /// The sigmoid of the last hidden layer that is looked at.
    std::int64_t unit = 0;
};

constexpr std::array<int, 3> percents{15, 50, 85};

/// The net after some steps, on the test set.
struct Measurement {
    std::int64_t step;
    double accuracy_train_mode, accuracy_eval_mode;
    /// Of the sigmoid's input in evaluation mode, at `percents`.
    std::array<double, 3> percentiles;
};

/// One training: every `every` steps and after the last one.
struct Run {
    std::string net;
    std::uint32_t seed;
    std::vector<Measurement> measurements;
};

/// The digits with pixels above one half 1 and the others 0.
cotape::data::Mnist binarised(const cotape::data::Mnist& digits);

/// Trains the plain and the batch-normalised net from each of the seeds 1 to `seeds`, as many runs at a time as
/// `threads` says (0 for all cores), and tells of each on standard error when it is done. `report` is given the runs in
/// their order, each as soon as it and those before it are done, one at a time. What one throws is thrown when all are
/// done. After an interrupt (comparison::NoteInterrupts) the runs under way are dropped.
std::vector<Run> run_all(const cotape::data::Mnist& digits, const RunOptions& options, int seeds, int threads,
                         const std::function<void(const Run&)>& report);

} // namespace paper_figure1

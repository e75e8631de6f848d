#include "runs.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <future>
#include <mutex>
#include <random>

#include <fmt/format.h>
#include <omp.h>

#include <cotape/core/tape.hpp>
#include <cotape/data/batches.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/metrics.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/nn/sgd.hpp>
#include <cotape/ops/losses.hpp>

#include "../comparison/interrupts.hpp"

namespace paper_figure1 {
namespace {

using namespace cotape;
using comparison::NoteInterrupts;

/// Three layers of 100 sigmoids; what comes before the last of them is a part of its own.
class PaperNet : public nn::Module {
  public:
    PaperNet(bool batch_norm, std::mt19937& random) {
        std::int64_t inputs = 784;
        for (int layer = 1; layer <= 3; ++layer) {
            before.add(nn::Linear(inputs, 100, {.bias = !batch_norm}, random));
            if (batch_norm) before.add(nn::BatchNorm1d(100));
            if (layer < 3) before.add(nn::Sigmoid());
            inputs = 100;
        }
        after.add(nn::Sigmoid());
        after.add(nn::Linear(100, 10, random));
    }
    void visit(nn::Visitor& visitor) override {
        visitor("before", before);
        visitor("after", after);
    }
    std::string describe() const override { return "PaperNet"; }

    nn::Sequential before, after;

  protected:
    Var forward(Var x) override { return after(before(x)); }
};

Tensor binarised(const Tensor& images) {
    std::span<const float> from = images.elements<float>();
    return Tensor::make<float>(images.shape(), [&](std::span<float> to) {
        std::ranges::transform(from, to.begin(), [](float pixel) { return pixel > 0.5f ? 1.0f : 0.0f; });
    });
}

/// The value below which `percent` of the values lie, between its two neighbours where it falls between them.
double percentile(const std::vector<double>& sorted, double percent) {
    double position = percent / 100 * static_cast<double>(sorted.size() - 1);
    auto below = static_cast<std::size_t>(position);
    double above = sorted[std::min(below + 1, sorted.size() - 1)];
    return sorted[below] + (position - std::floor(position)) * (above - sorted[below]);
}

Measurement measure(PaperNet& net, std::int64_t step, const data::Dataset& test, const RunOptions& options) {
    Measurement measurement{step, 0, 0, {}};
    auto accuracy = [&](std::int64_t batch, std::vector<double>* inputs) {
        std::int64_t right = 0;
        for (const auto& [images, labels] :
             data::batches(test, batch, {.last = data::LastBatch::merge, .prefetch = false})) {
            Tape tape;
            Var reaching = net.before(tape.constant(images));
            Var logits = net.after(reaching);
            right += std::llround(nn::accuracy(logits.value(), labels) * static_cast<double>(labels.size()));
            if (!inputs) continue;
            std::span<const float> elements = reaching.value().elements<float>();
            for (std::int64_t row = 0; row < labels.size(); ++row)
                inputs->push_back(elements[static_cast<std::size_t>(100 * row + options.unit)]);
        }
        return static_cast<double>(right) / static_cast<double>(test.size());
    };
    measurement.accuracy_train_mode = accuracy(options.batch, nullptr);
    nn::Evaluating evaluating(net);
    std::vector<double> inputs;
    measurement.accuracy_eval_mode = accuracy(1000, &inputs);
    std::ranges::sort(inputs);
    std::ranges::transform(percents, measurement.percentiles.begin(),
                           [&](int percent) { return percentile(inputs, percent); });
    return measurement;
}

Run train(const std::string& name, std::uint32_t seed, const data::Mnist& digits, const RunOptions& options) {
    std::mt19937 random(seed), order(seed);
    PaperNet net(name == "batchnorm", random);
    nn::Sgd optimizer(net, {.learning_rate = options.learning_rate});
    Run run{name, seed, {}};
    while (optimizer.steps() < options.steps && !NoteInterrupts::interrupted())
        for (const auto& [images, labels] :
             data::batches(digits.train, options.batch, order, {.last = data::LastBatch::drop, .prefetch = false})) {
            Tape tape;
            optimizer.step(cross_entropy(net(tape.constant(images)), labels));
            std::int64_t step = optimizer.steps();
            if (step % options.every == 0 || step == options.steps)
                run.measurements.push_back(measure(net, step, digits.test, options));
            if (step == options.steps || NoteInterrupts::interrupted()) break;
        }
    return run;
}

} // namespace

data::Mnist binarised(const data::Mnist& digits) {
    return {{binarised(digits.train.inputs), digits.train.labels}, {binarised(digits.test.inputs), digits.test.labels}};
}

std::vector<Run> run_all(const data::Mnist& digits, const RunOptions& options, int seeds, int threads,
                         const std::function<void(const Run&)>& report) {
    std::vector<Run> runs(static_cast<std::size_t>(2 * seeds));
    std::atomic<std::size_t> next{0};
    std::mutex reporting;
    std::vector<bool> done(runs.size());
    std::size_t reported = 0;
    auto work = [&] {
        omp_set_num_threads(1);
        for (std::size_t i = next++; i < runs.size(); i = next++) {
            auto start = std::chrono::steady_clock::now();
            Run run = train(i % 2 == 0 ? "plain" : "batchnorm", static_cast<std::uint32_t>(i / 2 + 1), digits, options);
            if (NoteInterrupts::interrupted()) return;
            double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            std::lock_guard lock(reporting);
            runs[i] = std::move(run);
            done[i] = true;
            fmt::print(stderr, "{}, seed {}: {:.0f} s\n", runs[i].net, runs[i].seed, seconds);
            for (; reported < runs.size() && done[reported]; ++reported) report(runs[reported]);
        }
    };
    std::vector<std::future<void>> workers;
    int count = std::min(threads > 0 ? threads : omp_get_num_procs(), 2 * seeds);
    for (int worker = 0; worker < count; ++worker) workers.push_back(std::async(std::launch::async, work));
    for (std::future<void>& worker : workers) worker.wait();
    for (std::future<void>& worker : workers) worker.get();
    return runs;
}

} // namespace paper_figure1

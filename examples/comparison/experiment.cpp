#include "experiment.hpp"

#include <chrono>
#include <cstdlib>
#include <deque>
#include <numeric>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/data/batches.hpp>
#include <cotape/data/digits.hpp>
#include <cotape/nn/adam.hpp>
#include <cotape/nn/metrics.hpp>
#include <cotape/nn/population_statistics.hpp>
#include <cotape/nn/rmsprop.hpp>
#include <cotape/nn/schedules.hpp>
#include <cotape/nn/sgd.hpp>
#include <cotape/ops/losses.hpp>

#include "interrupts.hpp"
#include "progress_bar.hpp"

namespace comparison {
namespace {

using namespace cotape;

/// The share of the test set that the net gets right in the mode it is in. Nothing is committed, so that normalising
/// with the batches' own statistics leaves the running ones as they are.
double test_accuracy(nn::Module& net, const data::Dataset& test, std::int64_t batch) {
    double right = 0;
    for (const auto& [images, labels] : data::batches(test, batch, {.last = data::LastBatch::merge})) {
        Tape tape;
        Var logits = net(tape.constant(images));
        right += nn::accuracy(logits.value(), labels) * static_cast<double>(labels.size());
    }
    return right / static_cast<double>(test.size());
}

/// Normalises with the exact statistics of the training set from now on, and measures again.
std::optional<double> population_accuracy(nn::Module& net, const data::Mnist& digits, std::int64_t batch) {
    if (nn::normalizers(net).empty()) return std::nullopt;
    try {
        data::Batches batches = data::batches(digits.train, batch, {.last = data::LastBatch::merge});
        nn::population_statistics(net, batches, {.dtype = Dtype::float32}).apply(net);
    } catch (const ValueError&) { // the net has diverged
        return std::nullopt;
    }
    return test_accuracy(net, digits.test, batch);
}

/// Watches for the first step after which the mean loss of the last hundred is below a target.
class TargetLoss {
  public:
    explicit TargetLoss(std::optional<double> target) : target_(target) {}
    void note(double loss) {
        last_.push_back(loss);
        if (last_.size() > 100) last_.pop_front();
        ++steps_;
        double mean = std::accumulate(last_.begin(), last_.end(), 0.0) / static_cast<double>(last_.size());
        if (target_ && !reached_after_ && last_.size() == 100 && mean < *target_) reached_after_ = steps_;
    }
    std::optional<std::int64_t> reached_after() const { return reached_after_; }

  private:
    std::optional<double> target_;
    std::deque<double> last_;
    std::int64_t steps_ = 0;
    std::optional<std::int64_t> reached_after_;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

} // namespace

std::vector<Contestant> with_and_without_batch_norm(const std::function<nn::Sequential(bool)>& make) {
    std::vector<Contestant> contestants;
    contestants.push_back(Contestant::of("plain", make(false)));
    contestants.push_back(Contestant::of("batchnorm", make(true), "batch-normalised"));
    return contestants;
}

data::Mnist load_digits(const Options& options) {
    auto mnist_in = [](const std::string& folder) {
        data::Mnist digits = data::mnist(folder);
        fmt::print("Data: MNIST in {}\n", folder);
        return digits;
    };
    if (!options.data.empty()) return mnist_in(options.data);
    const char* named = std::getenv("COTAPE_MNIST");
    for (std::string folder : {std::string(named ? named : ""), std::string("data/mnist")})
        if (!folder.empty() && data::has_mnist(folder)) return mnist_in(folder);
    fmt::print("Data: no MNIST {} (data/download_mnist.sh fetches it); training on generated digits\n",
               named && *named ? fmt::format("in {}, which COTAPE_MNIST names", named) : "here");
    return data::digits(60000, 10000, 1);
}

void require_enough(const data::Mnist& digits, std::int64_t batch) {
    if (batch > digits.train.size())
        throw ValueError(fmt::format("--batch: a batch of {} needs as many training examples, got {}", batch,
                                     digits.train.size()));
    if (digits.test.size() < 2)
        throw ValueError(fmt::format("the test set needs two examples to normalise, got {}", digits.test.size()));
}

std::unique_ptr<nn::Optimizer> make_optimizer(nn::Module& net, const Options& options) {
    double rate = options.rate();
    if (options.optimizer == "adam") return std::make_unique<nn::Adam>(net, nn::AdamOptions{.learning_rate = rate});
    if (options.optimizer == "rmsprop")
        return std::make_unique<nn::RmsProp>(net, nn::RmsPropOptions{.learning_rate = rate, .decay = 0.9});
    double momentum = options.optimizer == "momentum" ? 0.9 : 0;
    return std::make_unique<nn::Sgd>(net, nn::SgdOptions{.learning_rate = rate, .momentum = momentum});
}

nn::Schedule make_schedule(const Options& options, std::int64_t steps) {
    double rate = options.rate();
    if (options.schedule == "cosine") return nn::cosine_schedule(rate, steps);
    return [rate](std::int64_t) { return rate; };
}

bool train_and_compare(const std::vector<Contestant>& contestants, const data::Mnist& digits, const Options& options,
                       const std::function<void(const Result&)>& report) {
    struct Running {
        const Contestant& contestant;
        nn::Module& net;
        std::unique_ptr<nn::Optimizer> optimizer;
        std::mt19937 order; // the same for all, so that all see the same batches
        TargetLoss target;
    };
    std::vector<Running> running;
    for (const Contestant& contestant : contestants)
        running.push_back({contestant, *contestant.net, make_optimizer(*contestant.net, options),
                           std::mt19937(options.seed), TargetLoss(options.target_loss)});
    nn::Schedule schedule = make_schedule(options, options.epochs * (digits.train.size() / options.batch));

    for (int epoch = 1; epoch <= options.epochs; ++epoch)
        for (Running& run : running) {
            auto start = std::chrono::steady_clock::now();
            data::Batches batches =
                data::batches(digits.train, options.batch, run.order, {.last = data::LastBatch::drop});
            ProgressBar bar(fmt::format("{} {}/{}", run.contestant.name, epoch, options.epochs), batches.size());
            double loss_sum = 0;
            for (const auto& [images, labels] : batches) {
                Tape tape;
                Var loss = cross_entropy(run.net(tape.constant(images)), labels);
                run.optimizer->set_learning_rate(schedule(run.optimizer->steps()));
                run.optimizer->step(loss, {.clip_norm = options.clip_norm});
                loss_sum += loss.item();
                run.target.note(loss.item());
                bar.advance();
                if (NoteInterrupts::interrupted()) break;
            }
            if (NoteInterrupts::interrupted()) {
                bar.clear();
                bool first = epoch == 1 && &run == &running.front();
                fmt::print(stderr, "Interrupted in epoch {} of {}{}\n", epoch, run.contestant.name,
                           first ? "" : "; the rows above are complete");
                return false;
            }
            double seconds = seconds_since(start);
            double train_mode = test_accuracy(run.net, digits.test, options.batch);
            nn::Evaluating evaluating(run.net);
            double eval_mode = test_accuracy(run.net, digits.test, options.batch);
            Result result{run.contestant.name, epoch,     loss_sum / static_cast<double>(batches.size()),
                          train_mode,          eval_mode, seconds};
            if (epoch == options.epochs) {
                result.steps_to_target = run.target.reached_after();
                result.missed_target = options.target_loss && !result.steps_to_target;
                result.test_accuracy_population = population_accuracy(run.net, digits, options.batch);
            }
            bar.clear();
            report(result);
        }
    return true;
}

} // namespace comparison

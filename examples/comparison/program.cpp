#include "program.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <random>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <omp.h>

#include <cotape/core/error.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/ops/losses.hpp>

#include "interrupts.hpp"
#include "plot.hpp"
#include "report.hpp"

namespace comparison {
namespace {

using namespace cotape;

/// The images with a little noise: blank paper makes ties under max pooling, where there is no derivative to check.
Tensor noisy(const Tensor& images) {
    std::mt19937 random(1);
    Tensor noise = nn::uniform(images.shape(), -0.1, 0.1, random);
    return Tensor::make<float>(images.shape(), [&](std::span<float> elements) {
        std::ranges::transform(images.elements<float>(), noise.elements<float>(), elements.begin(), std::plus());
    });
}

/// Shows the net and checks the gradients of its loss on a few examples.
bool passes_gradient_check(const Contestant& contestant, const data::Dataset& examples) {
    fmt::print("\nThe {} net:\n{}\n", contestant.introduction, nn::summary(*contestant.net));
    GradientCheckReport verdict = nn::check_gradients(*contestant.net, noisy(examples.inputs), [&](Var logits) {
        return cross_entropy(logits, examples.labels);
    });
    fmt::print("Its loss's {}\n", to_string(verdict));
    return verdict.verdict != Verdict::fail;
}

void write_plot(const std::string& file, const std::vector<Contestant>& contestants,
                const std::vector<Result>& results) {
    std::vector<Curve> losses, accuracies;
    for (const Contestant& contestant : contestants) {
        const std::string& net = contestant.name;
        Curve loss{net, net, {}, {}}, train_mode{net + ", training mode", net, {}, {}, true};
        Curve eval_mode{net + ", evaluation mode", net, {}, {}};
        for (const Result& result : results) {
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
    stream << to_svg(
        {{"Training loss", "epoch", "cross entropy", losses}, {"Test accuracy", "epoch", "%", accuracies}});
    stream.close();
    if (!stream) throw DataError(fmt::format("write: {} could not be written in full", file));
}

int run(const Options& options, const std::function<std::vector<Contestant>(const Options&)>& make) {
    if (options.threads > 0) omp_set_num_threads(std::min(options.threads, omp_get_num_procs()));
    require_writable({options.metrics, options.plot});
    data::Mnist digits = load_digits(options);
    require_enough(digits, options.batch);
    std::vector<Contestant> contestants = make(options);
    NoteInterrupts noting;
    data::Dataset some = data::take(digits.train, std::min<std::int64_t>(digits.train.size(), 16));
    for (const Contestant& contestant : contestants)
        if (!contestant.introduction.empty() && !passes_gradient_check(contestant, some)) return 1;

    Report report(options.metrics);
    bool finished = train_and_compare(contestants, digits, options, [&](const Result& result) { report.add(result); });
    if (!options.plot.empty() && !report.results().empty()) write_plot(options.plot, contestants, report.results());
    return finished ? 0 : 130;
}

} // namespace

int run_program(CLI::App& app, int argc, char** argv, Options options,
                const std::function<std::vector<Contestant>(const Options&)>& make) {
    if (std::optional<int> status = parse(app, argc, argv, options)) return *status;
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ); // into pipes too, line by line
    try {
        int status = run(options, make);
        require_output_written();
        return status;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", app.get_name(), error.what());
        return 1;
    }
}

} // namespace comparison

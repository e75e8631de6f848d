// Figure 1 of Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
// Covariate Shift" (2015): a net of three layers of 100 sigmoids learns binarised MNIST, with batch normalisation and
// without.
//
// Expect: with batch normalisation the net is right on more than 95 % of the test set after 5,000 steps, where the
// plain one is still near 80 %, and stays ahead to the end; and the input of a sigmoid keeps its distribution, where
// the plain net's wanders.

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cotape/core/error.hpp>

#include "comparison/experiment.hpp"
#include "comparison/interrupts.hpp"
#include "comparison/plot.hpp"
#include "comparison/report.hpp"
#include "paper_figure1/runs.hpp"

namespace {

using namespace cotape;
using comparison::Curve;
using comparison::Panel;
using paper_figure1::Measurement;
using paper_figure1::Run;

constexpr const char* description =
    "Reproduces Figure 1 of the batch-normalisation paper (Ioffe and Szegedy 2015): three layers of 100 sigmoids\n"
    "learn binarised MNIST in 50,000 steps of 60 examples, with batch normalisation and without, from several\n"
    "seeds. The table gives the mean test accuracy over the seeds, normalised with the test batch's own\n"
    "statistics (training mode) and with the running ones (evaluation mode), and the percentiles of the input of\n"
    "one sigmoid of the last hidden layer over the test set, from the first seed.\n";

constexpr const char* examples =
    "  paper_figure1 --plots docs                    the whole figure, in minutes\n"
    "  paper_figure1 --short                         a glance, in seconds\n"
    "  paper_figure1 --steps 10000 --seeds 1 --metrics run.jsonl\n"
    "  paper_figure1 --learning-rate 1               batch norm learns faster still; the plain net need not\n";

struct Options {
    paper_figure1::RunOptions run;
    std::string data;
    int seeds = 3;
    bool brief = false;
    int threads = 0;
    std::string metrics, plots;
};

std::optional<int> parse(CLI::App& app, int argc, char** argv, Options& options) {
    app.footer(comparison::footer(examples));
    app.get_formatter()->column_width(34);
    app.add_option("--data", options.data, "Folder of the four IDX files, plain or gzipped")
        ->check(comparison::require_name)->type_name("DIR");
    CLI::Option* steps = app.add_option("--steps", options.run.steps, "Steps of training")
        ->check(CLI::Range(1, 10000000))->check(comparison::require_digits)->type_name("N")->capture_default_str();
    CLI::Option* every = app.add_option("--every", options.run.every, "Steps between two measurements")
        ->check(CLI::Range(1, 10000000))->check(comparison::require_digits)->type_name("N")->capture_default_str();
    app.add_option("--batch", options.run.batch, "Examples in a batch")
        ->check(CLI::Range(2, 60000))->check(comparison::require_digits)->type_name("N")->capture_default_str();
    app.add_option("--learning-rate", options.run.learning_rate, "Step size of stochastic gradient descent")
        ->check(comparison::require_positive)->type_name("RATE")->capture_default_str();
    app.add_option("--unit", options.run.unit, "Whose input is shown: a sigmoid of the last hidden layer")
        ->check(CLI::Range(0, 99))->check(comparison::require_digits)->type_name("N")->capture_default_str();
    CLI::Option* seeds = app.add_option("--seeds", options.seeds, "How many seeds: 1, 2, ...")
        ->check(CLI::Range(1, 1000))->check(comparison::require_digits)->type_name("N")->capture_default_str();
    app.add_flag("--short", options.brief, "300 steps of one seed, measured every 100");
    app.add_option("--threads", options.threads, "Runs at a time, each on one thread; 0 for all cores")
        ->check(CLI::Range(0, 1024))->check(comparison::require_digits)->type_name("N")->capture_default_str();
    app.add_option("--metrics", options.metrics, "Write one JSON object a line for each net, seed and measurement")
        ->check(comparison::require_name)->type_name("FILE");
    app.add_option("--plots", options.plots,
                   "Write paper_figure1_accuracy.svg and paper_figure1_inputs.svg into this folder")
        ->check(comparison::require_name)->type_name("DIR");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (options.brief) {
        if (steps->empty()) options.run.steps = 300;
        if (every->empty()) options.run.every = 100;
        if (seeds->empty()) options.seeds = 1;
    }
    return std::nullopt;
}

std::string accuracy_plot(const Options& options) { return options.plots + "/paper_figure1_accuracy.svg"; }
std::string inputs_plot(const Options& options) { return options.plots + "/paper_figure1_inputs.svg"; }

/// Writes the file anew, or at its end.
void write(const std::string& file, const std::string& text, std::ios::openmode mode = std::ios::trunc) {
    std::ofstream stream(file, mode);
    stream << text;
    stream.close();
    if (!stream) throw DataError(fmt::format("write: {} could not be written in full", file));
}

std::string json_lines(const Run& run) {
    std::string text;
    for (const Measurement& at : run.measurements)
        text += nlohmann::ordered_json{{"net", run.net},
                                       {"seed", run.seed},
                                       {"step", at.step},
                                       {"test_accuracy_train_mode", at.accuracy_train_mode},
                                       {"test_accuracy_eval_mode", at.accuracy_eval_mode},
                                       {"sigmoid_input_percentiles", at.percentiles}}
                    .dump() +
                "\n";
    return text;
}

/// The mean over the runs of a net of what `of` reads from each, at each measurement.
std::vector<double> mean_over_seeds(const std::vector<Run>& runs, const std::string& net, double Measurement::*of) {
    std::vector<double> means;
    double seeds = 0;
    for (const Run& run : runs) {
        if (run.net != net) continue;
        means.resize(run.measurements.size());
        for (std::size_t i = 0; i < means.size(); ++i) means[i] += run.measurements[i].*of;
        ++seeds;
    }
    for (double& mean : means) mean /= seeds;
    return means;
}

const Run& first_run(const std::vector<Run>& runs, const std::string& net) {
    return *std::ranges::find(runs, net, &Run::net);
}

std::vector<double> steps_of(const Run& run) {
    std::vector<double> steps;
    for (const Measurement& at : run.measurements) steps.push_back(static_cast<double>(at.step));
    return steps;
}

void write_plots(const Options& options, const std::vector<Run>& runs) {
    std::vector<Curve> accuracies;
    std::vector<Panel> inputs;
    for (const std::string net : {"plain", "batchnorm"}) {
        std::vector<double> steps = steps_of(first_run(runs, net));
        auto accuracy = [&](const std::string& name, double Measurement::*of, bool dashed) {
            std::vector<double> percent = mean_over_seeds(runs, net, of);
            for (double& value : percent) value *= 100;
            accuracies.push_back({name, net, steps, percent, dashed});
        };
        accuracy(net, &Measurement::accuracy_eval_mode, false);
        if (net == "batchnorm") accuracy(net + ", training mode", &Measurement::accuracy_train_mode, true);
        Panel panel{net == "plain" ? "Input of a sigmoid, plain" : "Input of a sigmoid, batchnorm",
                    "step",
                    "input",
                    {}};
        for (std::size_t i : {2, 1, 0}) {
            Curve curve{fmt::format("{}th percentile", paper_figure1::percents[i]), net, steps, {}, i != 1};
            for (const Measurement& at : first_run(runs, net).measurements) curve.y.push_back(at.percentiles[i]);
            panel.curves.push_back(curve);
        }
        inputs.push_back(panel);
    }
    write(accuracy_plot(options), comparison::to_svg({{"Test accuracy", "step", "%", accuracies}}));
    write(inputs_plot(options), comparison::to_svg(inputs));
}

/// Ten rows a net, or all where there are fewer measurements.
void print_table(const std::vector<Run>& runs) {
    fmt::print("\n{:<10} {:>8}  {:>21}  {:>23}  {:>30}\n", "net", "step", "accuracy, train mode",
               "accuracy, evaluation mode", "15th, 50th, 85th percentile");
    for (const std::string net : {"plain", "batchnorm"}) {
        std::vector<double> train_mode = mean_over_seeds(runs, net, &Measurement::accuracy_train_mode);
        std::vector<double> eval_mode = mean_over_seeds(runs, net, &Measurement::accuracy_eval_mode);
        const std::vector<Measurement>& measurements = first_run(runs, net).measurements;
        std::size_t stride = std::max<std::size_t>(measurements.size() / 10, 1);
        for (std::size_t i = (measurements.size() - 1) % stride; i < measurements.size(); i += stride) {
            const auto& [low, middle, high] = measurements[i].percentiles;
            fmt::print("{:<10} {:>8}  {:>19.2f} %  {:>23.2f} %  {:>30}\n", net, measurements[i].step,
                       100 * train_mode[i], 100 * eval_mode[i],
                       fmt::format("{:.2f}, {:.2f}, {:.2f}", low, middle, high));
        }
    }
}

int run(const Options& options) {
    std::vector<std::string> files{options.metrics};
    if (!options.plots.empty()) files.insert(files.end(), {accuracy_plot(options), inputs_plot(options)});
    comparison::require_writable(files);

    comparison::Options where;
    where.data = options.data;
    data::Mnist digits = paper_figure1::binarised(comparison::load_digits(where));
    comparison::require_enough(digits, options.run.batch);
    comparison::NoteInterrupts noting;
    bool begun = false; // until then the file is as it was
    std::vector<Run> runs =
        paper_figure1::run_all(digits, options.run, options.seeds, options.threads, [&](const Run& run) {
            if (options.metrics.empty()) return;
            write(options.metrics, json_lines(run), std::exchange(begun, true) ? std::ios::app : std::ios::trunc);
        });
    if (noting.interrupted()) {
        fmt::print(stderr, "Interrupted; the metrics hold the runs that were done\n");
        return 130;
    }
    print_table(runs);
    if (!options.plots.empty()) write_plots(options, runs);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app(description, "paper_figure1");
    Options options;
    if (std::optional<int> status = parse(app, argc, argv, options)) return *status;
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ); // into pipes too, line by line
    try {
        int status = run(options);
        comparison::require_output_written();
        return status;
    } catch (const std::exception& error) {
        fmt::print(stderr, "paper_figure1: {}\n", error.what());
        return 1;
    }
}

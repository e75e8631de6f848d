#include "options.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace comparison {

// CLI::PositiveNumber lets NaN pass and prints its upper bound in 309 digits.
std::string require_positive(const std::string& text) {
    double number = 0;
    bool valid = CLI::detail::lexical_cast(text, number) && number > 0 && std::isfinite(number);
    return valid ? "" : "Value " + text + " is not a positive number";
}

// CLI::Range lets NaN pass.
std::string require_number(const std::string& text) {
    double number = 0;
    return CLI::detail::lexical_cast(text, number) && std::isfinite(number) ? "" : "Value " + text + " is not a number";
}

// CLI::Range takes 010 for 8, and 0x10 for 16.
std::string require_digits(const std::string& text) {
    bool digits = !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    return digits && (text == "0" || text[0] != '0') ? "" : "Value " + text + " is not a whole number";
}

std::string require_name(const std::string& text) { return text.empty() ? "Value is empty" : ""; }

namespace {

/// Throws for lists with an empty element, since CLI11 takes 16,,8 for 16,8.
void refuse_gaps(const CLI::App& app, const std::vector<std::string>& arguments) {
    for (const CLI::Option* option : app.get_options())
        for (std::size_t i = 0; option->get_delimiter() == ',' && i < arguments.size(); ++i) {
            std::string name = option->get_name(), list = arguments[i];
            if (list.starts_with(name + "="))
                list = list.substr(name.size() + 1);
            else if (i == 0 || arguments[i - 1] != name)
                continue;
            if (("," + list + ",").find(",,") != std::string::npos)
                throw CLI::ValidationError(name, "List " + list + " has an empty element");
        }
}

} // namespace

std::optional<int> parse(CLI::App& app, int argc, char** argv, Options& options) {
    app.get_formatter()->column_width(34);
    app.add_option("--data", options.data, "Folder of the four IDX files, plain or gzipped")
        ->check(require_name)->type_name("DIR");
    app.add_option("--epochs", options.epochs, "Passes over the training set")
        ->check(CLI::Range(1, 100000))->check(require_digits)->type_name("N")->capture_default_str();
    app.add_option("--batch", options.batch, "Examples in a batch; an incomplete last batch is dropped")
        ->check(CLI::Range(2, 60000))->check(require_digits)->type_name("N")->capture_default_str();
    app.add_option("--learning-rate", options.learning_rate, "Step size of the optimiser")
        ->check(require_positive)->type_name("RATE")->default_str("0.01, with adam and rmsprop 0.001");
    app.add_option("--optimizer", options.optimizer, "sgd, momentum (0.9), rmsprop (decay 0.9) or adam")
        ->check(CLI::IsMember({"sgd", "momentum", "rmsprop", "adam"}))->type_name("NAME")->capture_default_str();
    app.add_option("--schedule", options.schedule, "The step size over the run: constant, or cosine, falling to 0")
        ->check(CLI::IsMember({"constant", "cosine"}))->type_name("NAME")->capture_default_str();
    app.add_option("--clip-norm", options.clip_norm, "Scale gradients of a larger joint norm down to this one")
        ->check(require_positive)->type_name("NORM")
        ->default_str(options.clip_norm ? fmt::format("{}", *options.clip_norm) : "no limit");
    app.add_option("--target-loss", options.target_loss,
                   "Say how many steps each net takes until its training loss, over 100 steps, is below this")
        ->check(require_positive)->type_name("LOSS");
    app.add_option("--seed", options.seed, "Same seed, same threads: same table, bit for bit")
        ->check(require_digits)->type_name("N")->capture_default_str();
    app.add_option("--threads", options.threads, "Threads to compute with, at most one a core; 0 for all cores")
        ->check(CLI::Range(0, 1024))->check(require_digits)->type_name("N")->capture_default_str();
    app.add_option("--metrics", options.metrics,
                   "Write one JSON object a line for each net and epoch; null where a number is not finite")
        ->check(require_name)->type_name("FILE");
    app.add_option("--plot", options.plot, "Write the training curves as SVG")->check(require_name)->type_name("FILE");
    try {
        app.parse(argc, argv);
        refuse_gaps(app, {argv + 1, argv + argc});
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    return std::nullopt;
}

std::string footer(const std::string& examples) {
    return "\nMNIST is looked for in --data, then in the folder that COTAPE_MNIST names, then in data/mnist; without "
           "it\n"
           "the nets learn generated digits. data/download_mnist.sh fetches it.\n\n"
           "Examples:\n" +
           examples;
}

} // namespace comparison

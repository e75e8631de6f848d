// A user's own op with a wrong derivative, in a net: the check fails, names the op and its line, and says what the
// error looks like. With the rule mended it passes. Expect: status 0; with --rule wrong, 1.

#include <random>

#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cotape/cotape.hpp>

using namespace cotape;

namespace {

/// The mean of the squares of all elements, with `derivative` as the rule.
Op mean_square(std::function<Var(const Rule&)> derivative) {
    return {.name = "mean_square",
            .type = [](const Call& call) { return Type{{}, call.type(0).dtype}; },
            .kernel =
                [](const Call&, const Type& output, std::span<const Tensor> inputs) {
                    double sum = 0;
                    for (std::int64_t i = 0; i < inputs[0].size(); ++i) sum += inputs[0].at(i) * inputs[0].at(i);
                    return Tensor(sum / static_cast<double>(inputs[0].size()), output.dtype);
                },
            .derivative = std::move(derivative)};
}

// The derivative of the mean of x^2 is 2 x / count, not 2 x.
const Op wrong_op = mean_square([](const Rule& rule) { return rule.g * (2 * rule.x[0]); });
const Op mended_op = mean_square([](const Rule& rule) {
    double count = static_cast<double>(element_count(rule.x[0].shape()));
    return rule.g * (2 / count * rule.x[0]);
});

GradientCheckReport check(const Op& op, const GradientCheckOptions& options) {
    std::mt19937 random(1);
    nn::Sequential net(nn::Linear(6, 5, {.bias = false}, random), nn::BatchNorm1d(5), nn::Tanh(),
                       nn::Linear(5, 3, random));
    Tensor x = nn::normal({8, 6}, 0, 1, random);
    return nn::check_gradients(net, x, [&](Var y) { return record(op, {y}); }, options);
}

} // namespace

int main(int argc, char** argv) {
    std::string rule = "both";
    int order = 2;
    bool json = false;
    CLI::App app("Checks the gradients of a net whose loss is an op of the user's own, first with a wrong derivative\n"
                 "rule, then with the right one.\n\n"
                 "A gradient check compares derivatives with differences of the function's values. It needs no\n"
                 "tolerance: how far a derivative may be off is computed. The verdict is\n"
                 "  pass          everything was compared and is right           status 0\n"
                 "  fail          a derivative is wrong; the op is named          status 1\n"
                 "  inconclusive  something could not be checked, and why          status 2\n");
    app.add_option("--rule", rule, "The derivative rule to check: wrong, mended, or both")
        ->check(CLI::IsMember({"wrong", "mended", "both"}))
        ->capture_default_str();
    app.add_option("--order", order, "Check derivatives of derivatives up to this order")
        ->check(CLI::Range(1, 4))
        ->capture_default_str();
    app.add_flag("--json", json, "Print reports as JSON, a line for each rule, for a program to read");
    app.footer("Example: gradient_check --rule wrong --json; the status is that of the last check.");
    CLI11_PARSE(app, argc, argv);

    int status = 0;
    for (const auto& [name, op] : {std::pair("wrong", &wrong_op), std::pair("mended", &mended_op)}) {
        if (rule != "both" && rule != name) continue;
        GradientCheckReport report = check(*op, {.order = order});
        if (json)
            fmt::print("{}\n", to_json(report));
        else
            fmt::print("With the {} rule:\n{}\n", name, to_string(report));
        status = report.exit_status();
    }
    return std::fflush(stdout) == 0 ? status : 1;
}

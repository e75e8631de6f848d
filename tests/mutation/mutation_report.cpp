// Measures the gradient checker: which wrong derivative rules it finds, that it blames no right one, and that it names
// the op. Expect at least 99 % killed and localised, and no false alarm; the status is 1 otherwise.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include <omp.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cotape/core/error.hpp>
#include <cotape/ops/localization.hpp>
#include <cotape/ops/projections.hpp>

#include "peer_checkers.hpp"
#include "recorded_graph.hpp"
#include "rule_mutations.hpp"
#include "subjects.hpp"

using namespace cotape;

namespace {

using Vars = std::vector<Var>;
using Clock = std::chrono::steady_clock;

struct Options {
    std::string json;
    std::uint64_t seeds = 1000;
    bool short_run = false;
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

RecordedGraph graph_of(const Subject& subject) {
    Tape tape;
    Vars inputs;
    for (const Tensor& input : subject.inputs) inputs.push_back(tape.variable(input));
    return RecordedGraph(subject.function(inputs), inputs);
}

/// A wrong rule in one place of a subject's graph.
struct Mutant {
    const Subject* subject;
    std::size_t step;
    RuleMutation mutation;
    /// Why it is one: the first order at which its derivatives differ, and by how much of their size.
    int order;
    double effect;
};

/// How far the derivatives of two functions are apart, by order, as shares of the derivative's size: what a mutation
/// does.
std::vector<double> effects(const CheckedFunction& right, const CheckedFunction& wrong,
                            const std::vector<Tensor>& inputs, int order) {
    Projections one(right, inputs, 11), other(wrong, inputs, 11);
    if (one.hindrance() || other.hindrance()) return {};
    std::vector<double> result;
    double size = 0;
    for (int k = 1; k <= order; ++k) {
        Projections::Point a = one.derivatives(k), b = other.derivatives(k);
        double difference = 0;
        for (std::size_t i = 0; i < inputs.size(); ++i)
            for (std::int64_t e = 0; e < inputs[i].size(); ++e) {
                double expected = a.gradient[i].at(e), got = b.gradient[i].at(e);
                size = std::max(size, std::abs(expected) * one.element_size(i, e));
                difference =
                    std::max(difference, std::isfinite(got) ? std::abs(got - expected) * one.element_size(i, e) : INFINITY);
            }
        result.push_back(size > 0 ? difference / size : difference);
    }
    return result;
}

/// Differences below this are rounding: the change makes no other function.
constexpr double least_effect = 1e-10;

/// Calls `use(mutant, mutated function)` for each change to a rule in the subject's graph that changes a derivative.
template <class Use>
void for_each_mutant(const Subject& subject, const Options& options, Use use) {
    RecordedGraph graph = graph_of(subject);
    std::set<std::string> seen;
    static int number = 0;
    for (std::size_t step = graph.input_count(); step < graph.steps().size(); ++step) {
        const RecordedGraph::Step& node = graph.steps()[step];
        if (!node.op->derivative || !graph.moves(step)) continue;
        std::vector<Tensor> values;
        for (std::size_t input : node.inputs) values.push_back(graph.steps()[input].value);
        for (std::size_t input = 0; input < values.size(); ++input) {
            if (!graph.moves(node.inputs[input]) || values[input].dtype() != Dtype::float64) continue;
            for (const RuleMutation& mutation : mutations(*node.op, node.attributes, values, input)) {
                std::string name = fmt::format("{} {} {} {}", node.op->name, node.attributes.to_string(), input,
                                               mutation.description);
                for (std::size_t turn : mutation.path) name += fmt::format(".{}", turn);
                for (const Tensor& value : values) name += to_string(value.shape());
                if (subject.order > 1 && !seen.insert(name).second) continue;
                if (options.short_run && ++number % 40 != 0) continue;
                Op wrong = mutant(*node.op, mutation);
                RecordedGraph mutated = graph.with(step, wrong);
                try {
                    std::vector<double> sizes = effects(graph, mutated, subject.inputs, subject.order);
                    auto first = std::ranges::find_if(sizes, [](double size) { return size > least_effect; });
                    if (first == sizes.end()) continue;
                    use(Mutant{&subject, step, mutation, static_cast<int>(first - sizes.begin()) + 1, *first}, wrong,
                        mutated);
                } catch (const Error&) {
                    continue; // the engine refuses it: its shape is not the input's
                }
            }
        }
    }
}

struct Score {
    std::string name;
    std::int64_t killed = 0, false_alarms = 0;
};

class Report {
  public:
    explicit Report(const Options& options) : options_(options) {
        scores_.push_back({"Cotape check_gradients"});
        for (const PeerChecker& peer : peer_checkers()) scores_.push_back({peer.name});
    }

    int run() {
        Clock::time_point start = Clock::now();
        kill_mutants();
        double killing = seconds_since(start);
        start = Clock::now();
        raise_false_alarms();
        double alarms = seconds_since(start);
        start = Clock::now();
        localize_mutants();
        print(killing, alarms, seconds_since(start));
        if (!options_.json.empty()) write();
        bool good = 100 * scores_[0].killed >= 99 * mutants_ && scores_[0].false_alarms == 0 &&
                    100 * localised_ >= 99 * trials_ && mutants_ > 0 && trials_ > 0;
        return good ? 0 : 1;
    }

  private:
    void kill_mutants() {
        std::vector<Subject> all = subjects(1);
        for (const Subject& subject : all)
            for_each_mutant(subject, options_, [&](const Mutant& mutant, const Op&, const RecordedGraph& function) {
                if (++mutants_ % 500 == 0) fmt::print(stderr, "{} mutants\n", mutants_);
                GradientCheckReport report =
                    check_gradients(function, subject.inputs, {.order = subject.order, .localize = false});
                if (report.verdict == Verdict::fail)
                    ++scores_[0].killed;
                else
                    survive(mutant, report);
                for (std::size_t i = 0; i < peer_checkers().size(); ++i)
                    scores_[i + 1].killed += !peer_checkers()[i].accepts(function, subject.inputs, 1);
            });
    }

    void survive(const Mutant& mutant, const GradientCheckReport& report) {
        std::string why = report.verdict == Verdict::inconclusive
                              ? "inconclusive: " + report.reason
                              : fmt::format("its derivatives are off by {:.1g} of their size, at order {}",
                                            mutant.effect, mutant.order);
        survivors_.push_back({{"subject", mutant.subject->name},
                              {"op", graph_of(*mutant.subject).steps()[mutant.step].op->name},
                              {"input", mutant.mutation.input},
                              {"mutation", mutant.mutation.description},
                              {"verdict", to_string(report.verdict)},
                              {"explanation", why}});
    }

    /// On every core, one seed after the other.
    void raise_false_alarms() {
        std::vector<std::jthread> threads;
        for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
            threads.emplace_back([this] {
                omp_set_num_threads(1);
                for (std::uint64_t seed = ++next_seed_; seed <= options_.seeds; seed = ++next_seed_)
                    raise_false_alarms(seed);
            });
    }

    void raise_false_alarms(std::uint64_t seed) {
        for (const Subject& subject : subjects(seed)) {
            GradientCheckReport report = check_gradients(subject.function, subject.inputs,
                                                         {.order = subject.order, .seed = seed, .localize = false});
            std::vector<bool> refused;
            for (std::size_t i = 0; i < peer_checkers().size() && seed <= peer_seeds; ++i)
                refused.push_back(!peer_checkers()[i].accepts(subject.function, subject.inputs, seed));
            std::lock_guard lock(mutex_);
            ++checks_;
            peer_checks_ += seed <= peer_seeds;
            scores_[0].false_alarms += report.verdict == Verdict::fail;
            inconclusive_ += report.verdict == Verdict::inconclusive;
            if (report.verdict != Verdict::pass)
                fmt::print("{}, seed {}: {}\n", subject.name, seed, to_string(report));
            for (std::size_t i = 0; i < refused.size(); ++i) scores_[i + 1].false_alarms += refused[i];
        }
        std::lock_guard lock(mutex_);
        if (++seeds_done_ % 20 == 0)
            fmt::print(stderr, "{} of {} seeds, {} false alarms\n", seeds_done_, options_.seeds,
                       scores_[0].false_alarms);
    }

    void localize_mutants() {
        Subject model = deep_model();
        RecordedGraph graph = graph_of(model);
        for (std::size_t i = graph.input_count(); i < graph.steps().size(); ++i)
            model_ops_ += graph.steps()[i].op->kind != OpKind::source;
        Clock::time_point start = Clock::now();
        for (int i = 0; i < 10; ++i) check_gradients(graph, model.inputs);
        check_seconds_ = seconds_since(start) / 10;
        for_each_mutant(model, options_, [&](const Mutant&, const Op& wrong, const RecordedGraph& function) {
            Clock::time_point begin = Clock::now();
            GradientCheckReport report = check_gradients(function, model.inputs, {.localize = false});
            double checking = seconds_since(begin);
            if (report.verdict != Verdict::fail) return;
            begin = Clock::now();
            Projections projections(function, model.inputs, 1);
            projections.hindrance(); // none: it draws the weights
            report.wrong_rules = wrong_rules(projections, report.findings.front());
            double localizing = seconds_since(begin);
            if (++trials_ % 100 == 0) fmt::print(stderr, "{} rules of the model localised\n", trials_);
            failing_seconds_ += checking;
            localize_seconds_ += localizing;
            within_three_checks_ += localizing <= 3 * check_seconds_;
            if (report.wrong_rules.size() == 1 && report.wrong_rules[0].op == wrong.name)
                ++localised_;
            else
                fmt::print("not localised: {} of {}\n{}\n", wrong.name, model.name, to_string(report));
            described_ += !report.wrong_rules.empty() && !report.wrong_rules[0].resembles.empty();
        });
    }

    void print(double killing, double alarms, double localizing) const {
        fmt::print("{:24}  {:>17}  {:>17}\n", "checker", fmt::format("killed of {}", mutants_), "false alarms");
        for (const Score& score : scores_) {
            std::int64_t checks = &score == &scores_[0] ? checks_ : peer_checks_;
            fmt::print("{:24}  {:6}  {:7.2f} %  {:6} of {:7}\n", score.name, score.killed,
                       100 * static_cast<double>(score.killed) / static_cast<double>(mutants_), score.false_alarms,
                       checks);
        }
        fmt::print("inconclusive {} of {}\n", inconclusive_, checks_);
        for (const auto& survivor : survivors_) fmt::print("survivor: {}\n", survivor.dump());
        double trials = static_cast<double>(trials_);
        fmt::print("localised {} of {} in a model of {} ops, {} described\n", localised_, trials_, model_ops_, described_);
        fmt::print("a check that passes takes {:.1f} ms, one that fails {:.1f} ms, localising {:.1f} ms, on average; "
                   "localising takes at most three times a check that passes in {} of {}\n",
                   1e3 * check_seconds_, 1e3 * failing_seconds_ / trials, 1e3 * localize_seconds_ / trials,
                   within_three_checks_, trials_);
        fmt::print("{:.0f} s for the mutants, {:.0f} s for the false alarms, {:.0f} s for localising\n", killing,
                   alarms, localizing);
    }

    void write() const {
        nlohmann::ordered_json json{{"mutants", mutants_},
                                    {"killed", scores_[0].killed},
                                    {"false_alarms", scores_[0].false_alarms},
                                    {"checks", checks_},
                                    {"localised", localised_},
                                    {"localisation_trials", trials_},
                                    {"survivors", survivors_}};
        std::ofstream file(options_.json);
        file << json.dump(2) << '\n';
        if (!file.flush()) throw ValueError(fmt::format("mutation_report: cannot write {}", options_.json));
    }

    /// The peers take no random inputs of their own: a few seeds tell.
    static constexpr std::uint64_t peer_seeds = 20;

    Options options_;
    std::vector<Score> scores_;
    std::int64_t mutants_ = 0, checks_ = 0, inconclusive_ = 0, peer_checks_ = 0, trials_ = 0, localised_ = 0,
                 described_ = 0, within_three_checks_ = 0;
    int model_ops_ = 0;
    double check_seconds_ = 0, failing_seconds_ = 0, localize_seconds_ = 0;
    std::atomic<std::uint64_t> next_seed_ = 0;
    std::uint64_t seeds_done_ = 0;
    std::mutex mutex_;
    std::vector<nlohmann::ordered_json> survivors_;
};

} // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app(
        "Measures the gradient checker on mutants of every derivative rule in the table of ops, beside the rules by "
        "which other libraries accept a gradient.");
    app.add_option("--json", options.json, "Write the numbers to this file");
    app.add_option("--seeds", options.seeds, "Check every op for false alarms this many times")->capture_default_str();
    app.add_flag("--short", options.short_run, "One mutant in forty and two seeds: a test of a few seconds");
    CLI11_PARSE(app, argc, argv);
    if (options.short_run) options.seeds = 2;
    try {
        return Report(options).run();
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
}

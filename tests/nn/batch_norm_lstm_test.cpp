#include <cotape/nn/batch_norm_lstm.hpp>

#include <map>

#include <doctest/doctest.h>

#include <cotape/core/checkpoint.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/population_statistics.hpp>
#include <cotape/nn/rmsprop.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/losses.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "numbers.hpp"
#include "snapshot.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

constexpr std::int64_t inputs = 3, hidden = 2, gates = 4 * hidden;

using Matrix = std::vector<std::vector<double>>;

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

/// A BatchNormLSTM in training, in plain loops over doubles.
class PlainBatchNormLSTM {
  public:
    PlainBatchNormLSTM(nn::Module& net, bool all) : all_(all) {
        for (const auto& [path, state] : net.parameters()) parameters_[path] = elements_of(state.value());
    }

    /// The hidden states of all steps, in the order of the net's outputs; 0 where a sequence has ended.
    std::vector<double> run(const Tensor& x, const std::vector<std::int64_t>& lengths) {
        std::int64_t steps = x.shape()[0], n = x.shape()[1];
        Matrix h(static_cast<std::size_t>(n), std::vector<double>(hidden, 0)), c = h;
        std::vector<double> outputs;
        for (std::int64_t t = 0; t < steps; ++t) {
            std::vector<std::size_t> present;
            for (std::size_t i = 0; i < lengths.size(); ++i)
                if (lengths[i] > t) present.push_back(i);
            Matrix from_input, from_state, cells;
            for (std::size_t i : present) {
                std::vector<double> row;
                for (std::int64_t k = 0; k < inputs; ++k)
                    row.push_back(x.at((t * n + static_cast<std::int64_t>(i)) * inputs + k));
                from_input.push_back(product("weight_ih_l0", row));
                from_state.push_back(product("weight_hh_l0", h[i]));
            }
            normalize(from_input, "norm_ih_l0");
            if (all_) normalize(from_state, "norm_hh_l0");
            for (std::size_t p = 0; p < present.size(); ++p) {
                auto gate = [&](std::size_t index, std::size_t unit) {
                    std::size_t at = index * hidden + unit;
                    return from_input[p][at] + from_state[p][at] + parameters_["bias_l0"][at];
                };
                for (std::size_t unit = 0; unit < hidden; ++unit) {
                    double& cell = c[present[p]][unit];
                    cell = sigmoid_of(gate(1, unit)) * cell + sigmoid_of(gate(0, unit)) * std::tanh(gate(2, unit));
                    h[present[p]][unit] = sigmoid_of(gate(3, unit));
                }
                cells.push_back(c[present[p]]);
            }
            if (all_) normalize(cells, "norm_c_l0");
            for (std::size_t p = 0; p < present.size(); ++p)
                for (std::size_t unit = 0; unit < hidden; ++unit) h[present[p]][unit] *= std::tanh(cells[p][unit]);
            for (std::size_t i = 0; i < lengths.size(); ++i)
                for (double element : h[i]) outputs.push_back(lengths[i] > t ? element : 0);
        }
        return outputs;
    }

  private:
    std::vector<double> product(const std::string& weight, const std::vector<double>& row) {
        std::vector<double> result;
        for (std::size_t out = 0; out < gates; ++out) {
            double sum = 0;
            for (std::size_t k = 0; k < row.size(); ++k) sum += parameters_[weight][out * row.size() + k] * row[k];
            result.push_back(sum);
        }
        return result;
    }
    void normalize(Matrix& rows, const std::string& norm) {
        for (std::size_t feature = 0; feature < rows[0].size(); ++feature) {
            double sum = 0, squares = 0, n = static_cast<double>(rows.size());
            for (const std::vector<double>& row : rows) sum += row[feature];
            for (const std::vector<double>& row : rows) squares += std::pow(row[feature] - sum / n, 2);
            double deviation = squares / n > 1e-8 ? std::sqrt(squares / n + 1e-5) : 1;
            double shift = parameters_.contains(norm + ".bias") ? parameters_[norm + ".bias"][feature] : 0;
            for (std::vector<double>& row : rows)
                row[feature] = parameters_[norm + ".weight"][feature] * (row[feature] - sum / n) / deviation + shift;
        }
    }

    bool all_;
    std::map<std::string, std::vector<double>> parameters_;
};

/// A net whose parameters all differ from one another.
nn::BatchNormLSTM make_net(const nn::BatchNormLSTMOptions& options = {}, std::int64_t steps = 4) {
    std::mt19937 random(3);
    nn::BatchNormLSTM net(inputs, hidden, steps, options, random);
    double phase = 0;
    for (const auto& [path, state] : net.parameters()) state.assign(scattered(state.type().shape, ++phase));
    return net;
}

void train_once(nn::Recurrent& net, const Tensor& x) {
    Tape tape;
    net(tape.constant(x));
    commit(tape);
}

Var cubes(Var y) { return sum(y * y * y); }

const std::vector<std::int64_t> whole(5, 4), padded{4, 3, 4, 2, 3};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a batch-normalised LSTM computes its equations, with every part or the input normalised") {
        for (nn::NormalizedParts parts : {nn::NormalizedParts::all, nn::NormalizedParts::input})
            for (bool shared : {false, true})
                for (const std::vector<std::int64_t>& lengths : {whole, padded}) {
                    nn::BatchNormLSTM net = make_net({.parts = parts, .norm = {.shared = shared}});
                    Tensor x = scattered({4, 5, inputs});
                    Tape tape;
                    Var y = net.unroll(tape.constant(x), {.mask = nn::padding_mask(lengths, 4)}).outputs;
                    PlainBatchNormLSTM plain(net, parts == nn::NormalizedParts::all);
                    CHECK(distance(y.value(), plain.run(x, lengths)) <
                          2e-5); // products rounded to float32, over deviations of 0.01
                }
    }

    TEST_CASE("a batch-normalised LSTM passes the gradient check through time, at orders 1 and 2, in both modes") {
        for (nn::NormalizedParts parts : {nn::NormalizedParts::all, nn::NormalizedParts::input}) {
            nn::BatchNormLSTM net = make_net({.parts = parts, .norm = {.epsilon = 0.01}});
            train_once(net, scattered({4, 6, inputs}, 2));
            Snapshot before(net);
            for (bool training : {true, false}) {
                net.set_training(training);
                GradientCheckReport report =
                    nn::check_gradients(net, scattered({4, 3, inputs}, 1), cubes, {.order = 2});
                CHECK_MESSAGE(report, to_string(report));
            }
            CHECK(before.is_current());
        }
    }

    TEST_CASE("a batch-normalised LSTM passes the gradient check with padded sequences and from an initial state") {
        nn::BatchNormLSTM net = make_net({.norm = {.epsilon = 0.01}});
        Tensor mask = nn::padding_mask({4, 2, 4}, 4);
        auto function = [&](const std::vector<Var>& vars) {
            for (const auto& [path, state] : net.parameters())
                vars[0].tape().bind(state, vars[0].tape().constant(state.value().as(Dtype::float64)));
            for (const auto& [path, state] : net.statistics())
                vars[0].tape().bind(state, vars[0].tape().constant(state.value().as(Dtype::float64)));
            auto [outputs, state] = net.unroll(vars[0], {.initial = {vars[1], vars[2]}, .mask = mask});
            return cubes(outputs) + cubes(state.c);
        };
        GradientCheckReport report =
            check_gradients(function,
                            {scattered<double>({4, 3, inputs}, 1), scattered<double>({1, 3, hidden}, 2),
                             scattered<double>({1, 3, hidden}, 3)},
                            {.order = 2});
        CHECK_MESSAGE(report, to_string(report));
    }

    TEST_CASE(
        "after a commit every normaliser holds statistics of every step, and passes and checks change none of them") {
        nn::BatchNormLSTM net = make_net({.norm = {.momentum = 1}});
        train_once(net, scattered({4, 5, inputs}));
        for (const nn::NamedNormalizer& named : nn::normalizers(net)) {
            CAPTURE(named.path);
            CHECK(named.normalizer->batches_seen() == 1);
            CHECK(named.normalizer->running_mean().shape()[0] == 4);
            bool hidden_part = named.path == "norm_hh_l0";
            for (std::int64_t step = 0; step < 4; ++step) // from zeros the hidden state's product is zero at first
                CHECK((named.normalizer->running_variance().at(
                           step * named.normalizer->running_variance().shape()[1]) == 0) == (hidden_part && step == 0));
        }
        Snapshot before(net);
        Tape tape;
        Var x = tape.variable(scattered({4, 5, inputs}, 1));
        gradient(cubes(net(x)), x).value();
        net(x).value();
        net.evaluate();
        net(x).value();
        commit(tape);
        CHECK_FALSE(before.is_current());
        nn::BatchNormLSTM once = make_net({.norm = {.momentum = 1}});
        train_once(once, scattered({4, 5, inputs}));
        train_once(once, scattered({4, 5, inputs}, 1));
        for (std::size_t i = 0; i < net.statistics().size(); ++i)
            CHECK(same_bits(net.statistics()[i].state.value(), once.statistics()[i].state.value()));
    }

    TEST_CASE("computed again behind a checkpoint, a batch-normalised LSTM gives the same gradients and proposes its "
              "statistics "
              "once") {
        nn::BatchNormLSTM plain = make_net(), again = make_net();
        Tensor x = scattered({4, 5, inputs}), slopes[2];
        for (bool recomputed : {false, true}) {
            nn::BatchNormLSTM& net = recomputed ? again : plain;
            Tape tape;
            Var input = tape.variable(x);
            auto function = [&](const std::vector<Var>& vars) { return net(vars[0]); };
            Var y = recomputed ? checkpoint(function, {input}) : net(input);
            Var slope = gradient(cubes(y), input);
            nn::BatchNormLSTM untouched = make_net();
            CHECK(all_finite(slope.value()));
            for (std::size_t i = 0; i < net.statistics().size(); ++i)
                CHECK(same_bits(net.statistics()[i].state.value(), untouched.statistics()[i].state.value()));
            commit(tape, std::span<const Var>(&slope, 1));
            slopes[recomputed] = slope.value();
        }
        CHECK(distance(slopes[1], elements_of(slopes[0])) < 1e-6);
        for (std::size_t i = 0; i < plain.statistics().size(); ++i)
            CHECK(distance(again.statistics()[i].state.value(), elements_of(plain.statistics()[i].state.value())) <
                  1e-6);
        for (const nn::NamedNormalizer& named : nn::normalizers(again)) CHECK(named.normalizer->batches_seen() == 1);
    }

    TEST_CASE("with the population's statistics of one batch, evaluation gives what training gave") {
        for (bool at_end : {false, true}) {
            nn::BatchNormLSTM net = make_net({.layers = 2});
            std::vector<Tensor> batches{scattered({4, 6, inputs})};
            Tape tape;
            Tensor trained = net(tape.constant(batches[0])).value();
            if (at_end) commit(tape);
            nn::PopulationStatistics population = nn::population_statistics(net, batches);
            CHECK(population.layers.size() == 6);
            population.apply(net);
            net.evaluate();
            Tape evaluation;
            CHECK(distance(net(evaluation.constant(batches[0])).value(), elements_of(trained)) < 1e-4);
        }
    }

    TEST_CASE("a batch-normalised LSTM reads sequences longer than any before, alone or in a batch") {
        nn::BatchNormLSTM net = make_net({}, 3);
        train_once(net, scattered({3, 5, inputs}));
        train_once(net, scattered({7, 5, inputs}, 1));
        net.evaluate();
        Tape tape;
        Tensor x = scattered({9, 2, inputs}, 2);
        Tensor together = net(tape.constant(x)).value();
        CHECK(all_finite(together));
        Var first = slice(tape.constant(x), 1, 0, 1);
        CHECK(distance(net(first).value(), elements_of(slice(tape.constant(together), 1, 0, 1).value())) < 1e-6);
    }

    TEST_CASE("step by step, or in parts, a batch-normalised LSTM computes and proposes what it does at once") {
        for (bool training : {true, false}) {
            nn::BatchNormLSTM at_once = make_net(), by_hand = make_net(), in_parts = make_net();
            Tensor x = scattered({6, 5, inputs}); // two steps more than it tells apart
            Tape tape, steps, parts;
            std::vector<Operand> h;
            std::vector<Var> halves;
            nn::RecurrentState state, rest;
            for (nn::BatchNormLSTM* net : {&at_once, &by_hand, &in_parts}) {
                train_once(*net, scattered({4, 5, inputs}, 1));
                net->set_training(training);
            }
            Tensor y = at_once(tape.constant(x)).value();
            for (std::int64_t step = 0; step < 6; ++step) {
                CHECK(state.step == step);
                state = by_hand[0].step(steps.constant(x.part(step * 5 * inputs, {5, inputs})), state);
                h.emplace_back(state.h);
            }
            for (std::int64_t begin : {0, 3}) {
                Var half = slice(parts.constant(x), 0, begin, begin + 3);
                auto [outputs, after] = in_parts.unroll(half, {.initial = rest});
                halves.push_back(outputs);
                rest = after;
            }
            CHECK(distance(stack(h).value(), elements_of(y)) < 1e-6);
            CHECK(distance(concatenate({halves[0], halves[1]}, 0).value(), elements_of(y)) < 1e-6);
            for (Tape* each : {&tape, &steps, &parts}) commit(*each);
            for (nn::BatchNormLSTM* net : {&by_hand, &in_parts})
                for (std::size_t i = 0; i < net->statistics().size(); ++i)
                    CHECK(distance(net->statistics()[i].state.value(),
                                   elements_of(at_once.statistics()[i].state.value())) < 1e-6);
        }
    }

    TEST_CASE("the step that a state counts is not negative") {
        nn::BatchNormLSTM net = make_net();
        Tape tape;
        CHECK_THROWS_WITH_AS(net[0].step(tape.constant(scattered({5, inputs})), {.step = -1}),
                             "Steps: the first step must not be negative, got -1", ValueError);
    }

    TEST_CASE("a batch-normalised LSTM refuses a batch of one in training, and nothing is recorded or proposed") {
        nn::BatchNormLSTM net = make_net();
        Tape tape;
        Var x = tape.constant(scattered({4, 1, inputs}));
        std::size_t size = tape.size();
        CHECK_THROWS_WITH_AS(
            net(x),
            "RecurrentBatchNorm: expected more than 1 value per feature and step when training, got input "
            "size [4, 1, 8]",
            ShapeError);
        CHECK(tape.size() == size);
        for (const auto& [path, state] : net.statistics()) CHECK_FALSE(tape.has_proposal(state));
    }

    TEST_CASE("a batch-normalised LSTM learns to tell sequences by their first step") {
        std::mt19937 random(1);
        nn::Sequential net(nn::BatchNormLSTM(1, 8, 6, {.last_step = true}, random), nn::Linear(8, 2, random));
        nn::RmsProp optimizer(net, {.learning_rate = 0.01});
        double first = 0, last = 0;
        for (int step = 0; step < 60; ++step) {
            Tensor x = scattered({6, 16, 1}, step);
            Tensor labels = Tensor::make<std::int64_t>({16}, [&](std::span<std::int64_t> label) {
                for (std::size_t i = 0; i < 16; ++i) label[i] = x.at(static_cast<std::int64_t>(i)) > 0;
            });
            Tape tape;
            Var loss = cross_entropy(net(tape.constant(x)), labels);
            optimizer.step(loss, {.clip_norm = 1});
            (step == 0 ? first : last) = loss.item();
        }
        CHECK(first > 0.5);
        CHECK(last < 0.1);
    }

    TEST_CASE("the parts of a batch-normalised LSTM have names and say what they are") {
        nn::BatchNormLSTM net = make_net({.parts = nn::NormalizedParts::input, .layers = 2});
        std::vector<std::string> paths;
        for (const auto& [path, state] : net.parameters()) paths.push_back(path);
        CHECK(paths == std::vector<std::string>{"weight_ih_l0", "weight_hh_l0", "bias_l0", "norm_ih_l0.weight",
                                                "weight_ih_l1", "weight_hh_l1", "bias_l1", "norm_ih_l1.weight"});
        CHECK(net.describe() == "BatchNormLSTM(3 -> 2, 2 layers)");
    }
}

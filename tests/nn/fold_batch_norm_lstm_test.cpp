#include <cotape/nn/fold_batch_norm.hpp>

#include <map>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/batch_norm_lstm.hpp>
#include <cotape/nn/gradient_check.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "numbers.hpp"
#include "snapshot.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

constexpr std::int64_t inputs = 3, hidden = 2, steps = 4, gates = 4 * hidden;

/// A net in evaluation mode whose parameters and statistics all differ from one another.
nn::BatchNormLSTM trained(const nn::BatchNormLSTMOptions& options = {}) {
    std::mt19937 random(3);
    nn::BatchNormLSTM net(inputs, hidden, steps, options, random);
    double phase = 0;
    for (const auto& [path, state] : net.parameters()) state.assign(scattered(state.type().shape, ++phase));
    for (const nn::NamedNormalizer& named : nn::normalizers(net)) {
        const Shape& shape = named.normalizer->running_mean().shape();
        Tensor variance = Tensor::make<float>(shape, [&](std::span<float> elements) {
            for (std::size_t i = 0; i < elements.size(); ++i)
                elements[i] = i == 3 ? 0.0f : 0.1f + 0.05f * static_cast<float>(i % 7); // one does not vary
        });
        named.normalizer->set_running_statistics(scattered(shape, ++phase), variance);
    }
    net.evaluate();
    return net;
}

/// The outputs for sequences of unequal length, longer than those that the net tells apart, and both last states.
std::vector<double> outputs(nn::BatchNormLSTM& net) {
    std::int64_t layers = static_cast<std::int64_t>(net.cells());
    Tape tape;
    auto [y, state] = net.unroll(tape.constant(scattered({steps + 3, 5, inputs}, 8)),
                                 {.initial = {tape.constant(scattered({layers, 5, hidden}, 1)),
                                              tape.constant(scattered({layers, 5, hidden}, 2)), 1},
                                  .mask = nn::padding_mask({7, 3, 5, 1, 6}, steps + 3)});
    std::vector<double> all;
    for (Var part : {y, state.h, state.c}) {
        std::vector<double> elements = elements_of(part.value());
        all.insert(all.end(), elements.begin(), elements.end());
    }
    return all;
}

std::vector<std::string> parameter_paths(nn::Module& net) {
    std::vector<std::string> paths;
    for (const auto& [path, state] : net.parameters()) paths.push_back(path + to_string(state.type().shape));
    return paths;
}

void check_refused(nn::Module& model, const std::string& message) {
    Snapshot before(model);
    CAPTURE(message);
    CHECK_THROWS_WITH_AS(nn::fold_batch_norm(model, scattered({steps, 5, inputs})),
                         ("fold_batch_norm: " + message).c_str(), ValueError);
    CHECK(before.is_current());
}

constexpr const char* norm_text = ", RecurrentBatchNorm(8, 4 steps, epsilon 1e-05, momentum 0.1 of the new value, "
                                  "running variance / (n - 1), no shift),";

/// Has a net at two places.
class Twice : public nn::Module {
  public:
    explicit Twice(nn::BatchNormLSTM net) : net_(std::move(net)) {}
    void visit(nn::Visitor& visitor) override {
        visitor("encoder", net_);
        visitor("decoder", net_);
    }
    std::string describe() const override { return "Twice"; }

  protected:
    Var forward(Var x) override { return net_(x); }

  private:
    nn::BatchNormLSTM net_;
};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("what reads from the end in a bidirectional BN-LSTM is a BN-LSTM over the reversed sequences") {
        std::mt19937 random(3);
        nn::BatchNormLSTM both(inputs, hidden, steps, {.bidirectional = true}, random);
        nn::BatchNormLSTM back(inputs, hidden, steps, random);
        constexpr std::int64_t examples = 5;
        for (std::size_t i = 0, count = back.parameters().size(); i < count; ++i)
            back.parameters()[i].state.assign(both.parameters()[count + i].state.value());
        Tensor x = scattered({steps, examples, inputs});
        Tape tape;
        auto step_of = [](Var sequence, std::int64_t step) { return slice(sequence, 0, step, step + 1); };
        std::vector<Operand> from_the_end;
        for (std::int64_t step = steps; step-- > 0;) from_the_end.emplace_back(step_of(tape.constant(x), step));
        Var y = both(tape.constant(x)), z = back(concatenate(from_the_end, 0));
        for (std::int64_t step = 0; step < steps; ++step)
            CHECK(distance(slice(step_of(y, steps - 1 - step), 2, hidden, 2 * hidden).value(),
                           elements_of(step_of(z, step).value())) == 0);
        commit(tape);
        for (std::size_t i = 0, count = back.statistics().size(); i < count; ++i)
            CHECK(same_bits(both.statistics()[count + i].state.value(), back.statistics()[i].state.value()));
    }

    TEST_CASE("a folded BN-LSTM computes what it did, padded sequences and those beyond its steps included") {
        for (nn::NormalizedParts parts : {nn::NormalizedParts::all, nn::NormalizedParts::input})
            for (bool shared : {false, true})
                for (auto [layers, bidirectional] : {std::pair(1, false), {2, false}, {1, true}}) {
                    nn::BatchNormLSTM net = trained({.parts = parts,
                                                     .norm = {.shared = shared},
                                                     .layers = layers,
                                                     .bidirectional = bidirectional});
                    std::size_t normalizers = nn::normalizers(net).size();
                    std::vector<double> before = outputs(net);
                    nn::FoldReport report = nn::fold_batch_norm(net, scattered({steps + 2, 6, inputs}));
                    CHECK(report.folded.size() == normalizers);
                    CHECK(nn::normalizers(net).empty());
                    CHECK(report.largest_output > 0.1);
                    CHECK(report.largest_deviation < 1e-6); // some roundings of gates of a few units, for seven steps
                    CHECK(distance(outputs(net), before) < 2e-6);
                }
    }

    TEST_CASE("each step's factor and bias are those of the formula, rounded once") {
        nn::BatchNormLSTM net = trained();
        std::map<std::string, Tensor> of;
        for (const auto& [path, state] : net.parameters()) of[path] = state.value();
        for (const auto& [path, state] : net.statistics()) of[path] = state.value();
        nn::fold_batch_norm(net, scattered({steps, 6, inputs}));
        CHECK(parameter_paths(net) ==
              std::vector<std::string>{"weight_ih_l0[8, 3]", "weight_hh_l0[8, 2]", "factor_ih_l0[4, 8]",
                                       "factor_hh_l0[4, 8]", "bias_l0[4, 8]", "factor_c_l0[4, 2]", "bias_c_l0[4, 2]"});
        for (const auto& [path, state] : net.parameters()) {
            if (path.starts_with("weight")) CHECK(same_bits(state.value(), of[path]));
            for (std::int64_t i = 0; i < state.value().size(); ++i) {
                auto factor = [&](const std::string& norm) {
                    std::int64_t features = of[norm + ".weight"].size();
                    double variance = of[norm + ".running_var"].at(i);
                    return of[norm + ".weight"].at(i % features) / (variance > 1e-8 ? std::sqrt(variance + 1e-5) : 1);
                };
                auto shift = [&](const std::string& norm) { return -of[norm + ".running_mean"].at(i) * factor(norm); };
                if (path == "factor_ih_l0") CHECK(state.value().at(i) == static_cast<float>(factor("norm_ih_l0")));
                if (path == "factor_hh_l0") CHECK(state.value().at(i) == static_cast<float>(factor("norm_hh_l0")));
                if (path == "factor_c_l0") CHECK(state.value().at(i) == static_cast<float>(factor("norm_c_l0")));
                double bias =
                    path == "bias_l0"
                        ? of["bias_l0"].at(i % gates) + shift("norm_ih_l0") + shift("norm_hh_l0")
                        : of["norm_c_l0.bias"].at(i % hidden) + (path == "bias_c_l0" ? shift("norm_c_l0") : 0);
                if (path.starts_with("bias")) CHECK(state.value().at(i) == doctest::Approx(bias).epsilon(1e-7));
            }
        }
    }

    TEST_CASE("a factor that all steps share goes into the weights") {
        nn::BatchNormLSTM net = trained({.norm = {.shared = true}});
        nn::fold_batch_norm(net, scattered({steps, 6, inputs}));
        CHECK(parameter_paths(net) == std::vector<std::string>{"weight_ih_l0[8, 3]", "weight_hh_l0[8, 2]",
                                                               "bias_l0[1, 8]", "factor_c_l0[1, 2]",
                                                               "bias_c_l0[1, 2]"});
        CHECK(net.describe() == "BatchNormLSTM(3 -> 2, batch norm folded)");
    }

    TEST_CASE("a BN-LSTM folds as a part of a net, with what stands beside it, and is trained on from there") {
        std::mt19937 random(1);
        nn::BatchNorm1d norm(2);
        norm.set_running_statistics(scattered({2}, 3), Tensor::full({2}, 0.5));
        nn::Sequential net(trained({.last_step = true}), nn::Linear(hidden, 2, random), std::move(norm));
        net.evaluate();
        nn::FoldReport report = nn::fold_batch_norm(net, Shape{steps, 5, inputs}, random);
        CHECK(report.folded == std::vector<std::string>{"0.norm_ih_l0", "0.norm_hh_l0", "0.norm_c_l0", "2"});
        CHECK(report.largest_deviation < 1e-5 * report.largest_output);
        net.train();
        GradientCheckReport check =
            nn::check_gradients(net, scattered({steps + 1, 3, inputs}), [](Var y) { return sum(y * y * y); });
        CHECK_MESSAGE(check, to_string(check));
    }

    TEST_CASE("steps that training did not reach fold as they are evaluated") {
        nn::BatchNormLSTM net = trained();
        for (const auto& [path, state] : net.statistics())
            if (path.ends_with("num_batches_tracked")) state.assign(Tensor::of<float>({4, 1}, {0, 5, 0, 7}));
        std::vector<double> before = outputs(net);
        nn::fold_batch_norm(net, scattered({steps, 6, inputs}));
        CHECK(distance(outputs(net), before) < 2e-6);
    }

    TEST_CASE("folding refuses a BN-LSTM that normalises with the batch's statistics, and one that is shared") {
        nn::BatchNormLSTM net = trained();
        net.train();
        check_refused(net, "the model must be in evaluation mode, got training mode");
        net.evaluate();
        nn::normalizers(net)[0].normalizer->use(nn::Statistics::batch);
        check_refused(
            net, "norm_ih_l0, RecurrentBatchNorm(8, 4 steps, epsilon 1e-05, momentum 0.1 of the new value, running "
                 "variance / (n - 1), always the batch's statistics, no shift), must use the running statistics, "
                 "got the batch's");
        Twice twice(trained());
        twice.evaluate();
        check_refused(twice, "encoder, BatchNormLSTM(3 -> 2) must be shared by nothing else, got it also as decoder");
    }

    TEST_CASE("folding refuses a normaliser outside a net of cells, and what is not finite; nothing is folded then") {
        std::mt19937 random(1);
        const std::string required = " must follow a Linear or a convolution in a Sequential, or be part of a "
                                     "BatchNormLSTM, got another place";
        nn::Sequential alone(trained(), nn::Linear(hidden, gates, random),
                             nn::RecurrentBatchNorm(gates, steps, {.shift = false}));
        alone.evaluate();
        check_refused(alone, std::string("2") + norm_text + required);
        CHECK(nn::normalizers(alone).size() == 4);
        nn::BatchNormLSTMCell cell(inputs, hidden, steps, {}, random);
        cell.evaluate();
        check_refused(cell, std::string("norm_ih") + norm_text + required);
        nn::BatchNormLSTM net = trained({.norm = {.epsilon = 0, .least_variance = 0}, .layers = 2});
        nn::normalizers(net)[5].normalizer->set_running_statistics(Tensor::full({steps, hidden}, 1e38),
                                                                   Tensor::full({steps, hidden}, 1e-30));
        check_refused(net, "what the model, BatchNormLSTM(3 -> 2, 2 layers) becomes must be finite, got a variance of "
                           "0, or a value beyond float32");
        CHECK(nn::normalizers(net).size() == 6);
    }
}

// Recurrent batch normalisation on MNIST: an LSTM reads each digit as a sequence, without normalisation, with
// statistics for each time step, with statistics shared by all steps, and with the input's part alone normalised.
//
// Expect, reading row by row: from the first epoch on the nets whose products are all normalised are ahead, and what
// evaluation does to them differs. With statistics for each time step it is a little better than training mode; with
// shared ones it falls far back, since no average over the steps fits any of them.

#include <memory>
#include <numeric>

#include <CLI/CLI.hpp>

#include <cotape/core/draws.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm_lstm.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

#include "comparison/program.hpp"

namespace {

using namespace cotape;
using comparison::Contestant;

constexpr const char* description =
    "Trains LSTMs that read digits as sequences on the same batches of MNIST, and compares them:\n"
    "  lstm             without normalisation\n"
    "  bn-lstm          both products and the cell state batch-normalised, statistics for each time step\n"
    "  bn-lstm-shared   the same, the running statistics shared by all time steps\n"
    "  bn-lstm-input    the product with the input alone normalised\n"
    "Each epoch's row gives the training loss, and the test accuracy normalised with the test batch's own statistics\n"
    "(training mode) and with the running ones (evaluation mode). Weights are orthogonal at first, those from the\n"
    "hidden state to the candidate the identity, and the forget gates' bias is 1.\n";

constexpr const char* examples =
    "  mnist_rnn --epochs 2                             row by row: per-step statistics against shared ones\n"
    "  mnist_rnn --steps 196 --permute --nets lstm,bn-lstm        long dependencies: pixels in a random order\n"
    "  mnist_rnn --steps 196 --permute --nets bn-lstm --gamma 1   why gamma starts at 0.1\n"
    "  mnist_rnn --target-loss 0.3                      how many steps each net takes to that training loss\n"
    "  mnist_rnn --metrics run.jsonl --plot run.svg     for machines, and for people\n";

/// What this example can be told besides the options that all have.
struct ReaderOptions {
    std::vector<std::string> nets{"lstm", "bn-lstm", "bn-lstm-shared", "bn-lstm-input"};
    std::int64_t steps = 28;
    bool permute = false;
    std::int64_t units = 100;
    double gamma = 0.1;
    double noise = 0.1;
};

/// The numbers 0 to count - 1 in random order, each once.
Tensor random_order(std::int64_t count, std::mt19937& random) {
    return Tensor::make<std::int64_t>({count}, [&](std::span<std::int64_t> order) {
        std::iota(order.begin(), order.end(), 0);
        for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[draw_below(random, i)]);
    });
}

/// Turns images [examples, 784] into sequences [steps, examples, pixels a step]: 28 rows, or 784 pixels, or the 196 of
/// the image at half its size; the pixels in their order, or all in a random one.
class Sequences {
  public:
    explicit Sequences(const ReaderOptions& options) : steps_(options.steps) {
        std::mt19937 random(1); // the same order for every seed of a net
        if (options.permute) order_ = random_order(pixels(), random);
    }
    std::int64_t inputs() const { return pixels() / steps_; }
    Var operator()(Var images) const {
        std::int64_t examples = images.shape()[0];
        if (steps_ == 196) images = reshape(mean(reshape(images, {examples, 14, 2, 14, 2}), {2, 4}), {examples, 196});
        Var by_pixel = transpose(images);
        if (!order_.empty()) by_pixel = take(by_pixel, images.tape().constant(order_));
        return permute(reshape(by_pixel, {steps_, inputs(), examples}), {0, 2, 1});
    }

  private:
    std::int64_t pixels() const { return steps_ == 196 ? 196 : 784; }

    std::int64_t steps_;
    Tensor order_;
};

/// A recurrent net that reads an image, and a linear layer that names the digit from the last hidden state. Where
/// batches' own statistics normalise, and in training in any case, the net starts from a state of small noise, drawn
/// anew after each change of the parameters: from zeros, its first steps would hardly vary from one example to the
/// next.
class Reader : public nn::Module {
  public:
    Reader(std::unique_ptr<nn::Recurrent> recurrent, const ReaderOptions& options, std::mt19937& random)
        : sequences_(options), recurrent_(std::move(recurrent)), output_(options.units, 10, random),
          deviation_(options.noise), random_(random) {}

    void visit(nn::Visitor& visitor) override {
        visitor("recurrent", *recurrent_);
        visitor("output", output_);
    }
    std::string describe() const override { return "Reader"; }

  protected:
    Var forward(Var images) override {
        nn::UnrollResult read = recurrent_->unroll(sequences_(images), {.initial = initial_state(images)});
        return output_(reshape(read.state.h, {images.shape()[0], (*recurrent_)[0].hidden()}));
    }

  private:
    nn::RecurrentState initial_state(Var images) {
        std::vector<nn::NamedNormalizer> normalizers = nn::normalizers(*recurrent_);
        bool by_batch = !normalizers.empty() && normalizers[0].normalizer->uses() == nn::Statistics::batch;
        if (!(is_training() || by_batch) || deviation_ == 0) return {};
        Shape shape{1, images.shape()[0], (*recurrent_)[0].hidden()};
        std::uint64_t version = output_.weight().version();
        if (h_.empty() || drawn_for_ != version || !(h_.shape() == shape)) {
            h_ = nn::normal(shape, 0, deviation_, random_);
            c_ = nn::normal(shape, 0, deviation_, random_);
            drawn_for_ = version;
        }
        Tape& tape = images.tape();
        return {tape.constant(h_.as(images.dtype())), tape.constant(c_.as(images.dtype()))};
    }

    Sequences sequences_;
    std::unique_ptr<nn::Recurrent> recurrent_;
    nn::Linear output_;
    double deviation_;
    std::mt19937 random_;
    Tensor h_, c_;
    std::uint64_t drawn_for_ = 0;
};

/// `blocks` square matrices, one below the other: orthogonal ones, and the identity for the candidate, the third.
Tensor recurrent_weight(std::int64_t units, std::mt19937& random) {
    Tensor orthogonal[4];
    for (Tensor& block : orthogonal) block = nn::orthogonal({units, units}, random);
    return Tensor::make<float>({4 * units, units}, [&](std::span<float> weight) {
        std::int64_t size = units * units;
        for (std::int64_t i = 0; i < 4 * size; ++i) {
            std::int64_t block = i / size, row = i % size / units, column = i % units;
            double element = block == 2 ? row == column : orthogonal[block].at(i % size);
            weight[static_cast<std::size_t>(i)] = static_cast<float>(element);
        }
    });
}

void set_initial_weights(nn::Recurrent& net, std::int64_t units, std::mt19937& random) {
    Tensor forgetful = Tensor::make<float>({4 * units}, [&](std::span<float> bias) {
        for (std::int64_t i = 0; i < 4 * units; ++i) bias[static_cast<std::size_t>(i)] = i / units == 1 ? 1.0f : 0.0f;
    });
    for (const auto& [path, parameter] : net.parameters()) {
        const Shape& shape = parameter.type().shape;
        if (path == "weight_ih_l0") parameter.assign(nn::orthogonal(shape, random));
        if (path == "weight_hh_l0") parameter.assign(recurrent_weight(units, random));
        if (path == "bias_ih_l0" || path == "bias_l0") parameter.assign(forgetful);
        if (path == "bias_hh_l0") parameter.assign(Tensor::full(shape, 0));
    }
}

Reader make_net(const std::string& name, const ReaderOptions& options, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::int64_t inputs = Sequences(options).inputs();
    std::unique_ptr<nn::Recurrent> net;
    if (name == "lstm") {
        net = std::make_unique<nn::LSTM>(inputs, options.units, random);
    } else {
        nn::BatchNormLSTMOptions normalized{
            .norm = {.initial_scale = options.gamma, .shared = name == "bn-lstm-shared"}};
        if (name == "bn-lstm-input") normalized.parts = nn::NormalizedParts::input;
        net = std::make_unique<nn::BatchNormLSTM>(inputs, options.units, options.steps, normalized, random);
    }
    set_initial_weights(*net, options.units, random);
    return Reader(std::move(net), options, random);
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app(description, "mnist_rnn");
    app.footer(comparison::footer(examples));
    ReaderOptions reader;
    app.add_option("--nets", reader.nets, "Which nets to train, separated by commas")
        ->delimiter(',')->allow_extra_args(false)->type_name("NAME,...")
        ->check(CLI::IsMember({"lstm", "bn-lstm", "bn-lstm-shared", "bn-lstm-input"}))->default_str("all four");
    app.add_option("--steps", reader.steps, "28 rows, 196 pixels at half size, or all 784 pixels")
        ->check(CLI::IsMember({28, 196, 784}))->type_name("N")->capture_default_str();
    app.add_flag("--permute", reader.permute, "Show the pixels in a random order, the same for all images");
    app.add_option("--units", reader.units, "Hidden units")
        ->check(CLI::Range(1, 100000))->check(comparison::require_digits)->type_name("N")->capture_default_str();
    app.add_option("--gamma", reader.gamma, "What the normalisers' scale starts from")
        ->check(CLI::Range(0.0, 100.0))->check(comparison::require_number)->type_name("SCALE")->capture_default_str();
    app.add_option("--noise", reader.noise, "Deviation of the state that a net starts from in training")
        ->check(CLI::Range(0.0, 100.0))->check(comparison::require_number)->type_name("SCALE")->capture_default_str();
    app.callback([&] {
        std::vector<std::string> names = reader.nets;
        std::ranges::sort(names);
        if (auto twice = std::ranges::adjacent_find(names); twice != names.end())
            throw CLI::ValidationError("--nets", "Net " + *twice + " is named twice");
    });
    comparison::Options defaults{.epochs = 2, .batch = 100, .optimizer = "rmsprop", .clip_norm = 1};
    return comparison::run_program(app, argc, argv, defaults, [&](const comparison::Options& options) {
        std::vector<Contestant> contestants;
        for (const std::string& name : reader.nets) {
            bool shown = name == "bn-lstm" && reader.steps == 28;
            contestants.push_back(Contestant::of(name, make_net(name, reader, options.seed), shown ? "bn-lstm" : ""));
        }
        return contestants;
    });
}

#include <cotape/nn/fold_batch_norm.hpp>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/convolution.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>

#include "numbers.hpp"
#include "snapshot.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

nn::BatchNorm1d trained(std::int64_t channels, const nn::BatchNormOptions& options = {}) {
    nn::BatchNorm1d layer(channels, options);
    std::vector<float> mean, variance;
    for (std::int64_t c = 0; c < channels; ++c) {
        mean.push_back(static_cast<float>(c) - 1.5f);
        variance.push_back(0.25f + static_cast<float>(c * c));
    }
    layer.set_running_statistics(Tensor::of<float>({channels}, mean), Tensor::of<float>({channels}, variance));
    if (options.affine) {
        layer.parameters()[0].state.assign(scattered({channels}, 4));
        layer.parameters()[1].state.assign(scattered({channels}, 5));
    }
    return layer;
}

nn::BatchNorm2d trained_maps(std::int64_t channels) {
    nn::BatchNorm2d layer(channels);
    nn::BatchNorm1d like = trained(channels);
    layer.set_running_statistics(like.running_mean(), like.running_variance());
    for (std::size_t i = 0; i < 2; ++i) layer.parameters()[i].state.assign(like.parameters()[i].state.value());
    return layer;
}

/// With a bias before one batch norm and none before the other, of which one is not affine, and one in a part of its
/// own.
nn::Sequential make_net() {
    std::mt19937 random(3);
    nn::Sequential part(nn::Linear(4, 3, {.bias = false}, random), trained(3), nn::Tanh());
    nn::Sequential net(std::move(part), nn::Linear(3, 5, random), trained(5, {.epsilon = 0.1, .affine = false}),
                       nn::Relu(), nn::Linear(5, 2, random));
    net.evaluate();
    return net;
}

Tensor output(nn::Module& net, const Tensor& x) {
    Tape tape;
    return net(tape.constant(x)).value();
}

void check_refused(nn::Module& model, const Tensor& probe, const std::string& message) {
    Snapshot before(model);
    CAPTURE(message);
    CHECK_THROWS_WITH_AS(nn::fold_batch_norm(model, probe), ("fold_batch_norm: " + message).c_str(), ValueError);
    CHECK(before.is_current());
}

constexpr const char* norm_text =
    ", BatchNorm1d(3, epsilon 1e-05, momentum 0.1 of the new value, running variance / (n - 1)";

/// Calls a layer again on what the rest makes of it.
class Loop : public nn::Module {
  public:
    explicit Loop(std::mt19937& random) : body(nn::Linear(3, 3, random), trained(3)) {}
    void visit(nn::Visitor& visitor) override {
        visitor("body", body);
        visitor("first", body[0]);
    }
    std::string describe() const override { return "Loop"; }

    nn::Sequential body;

  protected:
    Var forward(Var x) override { return body[0](body(x)); }
};

/// The same, which shows the layer once.
class Again : public Loop {
  public:
    using Loop::Loop;
    void visit(nn::Visitor& visitor) override { visitor("body", body); }
};

/// A linear layer whose weight is another's.
class Tied : public nn::Module {
  public:
    explicit Tied(nn::Parameter weight) : weight_(weight) {}
    void visit(nn::Visitor& visitor) override { visitor("weight", weight_); }
    std::string describe() const override { return "Tied"; }

  protected:
    Var forward(Var x) override { return x; }

  private:
    nn::Parameter weight_;
};

/// A batch norm that stands in no Sequential.
class Wrapped : public nn::Module {
  public:
    void visit(nn::Visitor& visitor) override { visitor("norm", norm_); }
    std::string describe() const override { return "Wrapped"; }

  protected:
    Var forward(Var x) override { return norm_(x); }

  private:
    nn::BatchNorm1d norm_ = trained(3);
};

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("a folded net computes what the net did, without batch norms, and says how far it is off") {
        nn::Sequential net = make_net();
        Tensor probe = scattered({16, 4}, 1), other = scattered({5, 4}, 2);
        Tensor before = output(net, other), probed = output(net, probe);
        nn::FoldReport report = nn::fold_batch_norm(net, probe);
        CHECK(report.folded == std::vector<std::string>{"0.1", "2"});
        CHECK(nn::normalizers(net).empty());
        Tensor after = output(net, probe);
        double deviation = distance(after, elements_of(probed));
        CHECK(report.largest_deviation == deviation);
        CHECK(report.largest_output == distance(probed, std::vector<double>(32, 0)));
        CHECK(deviation < 1e-6); // a few roundings of outputs below 2
        CHECK(distance(output(net, other), elements_of(before)) < 1e-6);
        std::vector<std::string> paths;
        for (const auto& [path, state] : net.parameters()) paths.push_back(path);
        CHECK(paths == std::vector<std::string>{"0.0.weight", "0.0.bias", "1.weight", "1.bias", "4.weight", "4.bias"});
        CHECK(net[2].describe() == "Identity");
        CHECK_FALSE(net[2].is_training());
    }

    TEST_CASE("folded weights are those of the formula, rounded once") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(2, 3, random), trained(3));
        net.evaluate();
        auto& linear = dynamic_cast<nn::Linear&>(net[0]);
        auto& norm = dynamic_cast<nn::BatchNorm1d&>(net[1]);
        std::vector<double> weight, bias;
        for (std::int64_t c = 0; c < 3; ++c) {
            double factor = norm.scale()->value().at(c) / std::sqrt(norm.running_variance().at(c) + 1e-5);
            for (std::int64_t k : {0, 1}) weight.push_back(linear.weight().value().at(2 * c + k) * factor);
            bias.push_back((linear.bias()->value().at(c) - norm.running_mean().at(c)) * factor +
                           norm.shift()->value().at(c));
        }
        nn::fold_batch_norm(net, Shape{8, 2}, random);
        CHECK(same_bits(linear.weight().value(), Tensor::of<double>({3, 2}, weight).as(Dtype::float32)));
        CHECK(same_bits(linear.bias()->value(), Tensor::of<double>({3}, bias).as(Dtype::float32)));
    }

    TEST_CASE("two batch norms in a row fold into the same layer, and a frozen one folds too") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(4, 3, {.bias = false}, random), trained(3), trained(3, {.epsilon = 0.5}));
        dynamic_cast<nn::BatchNorm1d&>(net[1]).use(nn::Statistics::population);
        net.evaluate();
        Tensor x = scattered({8, 4}, 1), before = output(net, x);
        CHECK(nn::fold_batch_norm(net, x).folded == std::vector<std::string>{"1", "2"});
        CHECK(distance(output(net, x), elements_of(before)) < 2e-6);
    }

    TEST_CASE("a net without batch norms is folded already") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(4, 3, random));
        net.evaluate();
        nn::FoldReport report = nn::fold_batch_norm(net, scattered({5, 4}));
        CHECK(report.folded.empty());
        CHECK(report.largest_deviation == 0);
    }

    TEST_CASE("folding refuses a net in training mode, and a batch norm that does not use the running statistics") {
        nn::Sequential net = make_net();
        net.train();
        check_refused(net, scattered({8, 4}), "the model must be in evaluation mode, got training mode");
        net.evaluate();
        dynamic_cast<nn::BatchNorm1d&>(net[2]).use(nn::Statistics::batch);
        check_refused(
            net, scattered({8, 4}),
            "2, BatchNorm1d(5, epsilon 0.1, momentum 0.1 of the new value, running variance / (n - 1), always the "
            "batch's statistics, not affine), must use the running statistics, got the batch's");
        std::mt19937 random(1);
        nn::Sequential part(nn::Linear(4, 3, random), trained(3));
        part.evaluate();
        part[1].train();
        check_refused(part, scattered({8, 4}),
                      std::string("1") + norm_text + "), must be in evaluation mode, got training mode");
    }

    TEST_CASE("folding refuses what stands between the layer and its batch norm, and folds none then") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(4, 3, random), trained(3), nn::Linear(3, 3, random), nn::Relu(), trained(3));
        net.evaluate();
        check_refused(net, scattered({8, 4}),
                      std::string("4") + norm_text + ") must follow a Linear or a convolution, got 3, Relu before it");
        CHECK(nn::normalizers(net).size() == 2);
        nn::Sequential first(trained(3), nn::Relu());
        first.evaluate();
        check_refused(first, scattered({8, 3}),
                      std::string("0") + norm_text + ") must follow a Linear or a convolution, got nothing before it");
        nn::Sequential wrapped(nn::Linear(4, 3, random), Wrapped());
        wrapped.evaluate();
        check_refused(wrapped, scattered({8, 4}),
                      std::string("1.norm") + norm_text +
                          "), must follow a Linear or a convolution in a Sequential, or be part of a BatchNormLSTM, "
                          "got another place");
    }

    TEST_CASE("folding refuses a layer that is shared, as a part or by its weight") {
        std::mt19937 random(1);
        Loop loop(random);
        loop.evaluate();
        check_refused(loop, scattered({8, 3}),
                      "body.0, Linear(3 -> 3) must be shared by nothing else, got it also as first");
        Again again(random);
        again.evaluate();
        check_refused(again, scattered({8, 3}),
                      "body.0, Linear(3 -> 3) must run as often as body.1, got 2 runs and 1");
        nn::Sequential net(nn::Linear(4, 3, random), trained(3));
        net.add(Tied(dynamic_cast<nn::Linear&>(net[0]).weight()));
        net.evaluate();
        check_refused(net, scattered({8, 4}),
                      "0, Linear(4 -> 3) must be shared by nothing else, got its weight also as 2.weight");
    }

    TEST_CASE("folding refuses a batch norm over another axis than the layer's, and weights that are not finite") {
        std::mt19937 random(1);
        nn::Sequential net(nn::Linear(4, 3, random), trained(3));
        net.evaluate();
        check_refused(net, scattered({8, 3, 4}),
                      std::string("1") + norm_text +
                          ") must normalise the last axis, on which the outputs of a Linear lie, got axis 1 of rank 3");
        nn::Sequential constant(nn::Linear(4, 3, random), nn::BatchNorm1d(3, {.epsilon = 0}));
        dynamic_cast<nn::BatchNorm1d&>(constant[1]).set_running_statistics(Tensor::full({3}, 0), Tensor::full({3}, 0));
        constant.evaluate();
        check_refused(constant, scattered({8, 4}),
                      "what Linear(4 -> 3) becomes must be finite, got a variance of 0, or a value beyond float32");
    }

    TEST_CASE("batch norms fold into convolutions and transposed convolutions, in groups as well") {
        std::mt19937 random(5);
        nn::Sequential net(nn::Conv2d(4, 6, 3, {.padding = 1, .groups = 2, .bias = false}, random), trained_maps(6),
                           nn::Relu(), nn::ConvTranspose2d(6, 4, {2, 3}, {.stride = 2, .groups = 2}, random),
                           trained_maps(4));
        net.evaluate();
        Tensor probe = scattered({3, 4, 5, 6}), before = output(net, probe);
        nn::FoldReport report = nn::fold_batch_norm(net, probe);
        CHECK(report.folded == std::vector<std::string>{"1", "4"});
        CHECK(nn::normalizers(net).empty());
        // Sums of some dozen products, rounded to float32.
        CHECK(report.largest_deviation < 1e-5 * report.largest_output);
        CHECK(distance(output(net, probe), elements_of(before)) == doctest::Approx(report.largest_deviation));
    }

    TEST_CASE("folding refuses a probe that shows nothing: without examples, or not finite") {
        nn::Sequential net = make_net();
        check_refused(net, Tensor::full({0, 4}, 0), "the probe must hold at least one example, got [0, 4]");
        check_refused(net, Tensor::of<float>({1, 4}, {1, 2, NAN, 4}), "the probe must be finite, got nan at element 2");
        check_refused(net, Tensor::full({2, 4}, -HUGE_VAL), "the probe must be finite, got -inf at element 0");
    }

    TEST_CASE("a probe that does not fit leaves the net as it was") {
        nn::Sequential net = make_net();
        Snapshot before(net);
        CHECK_THROWS_WITH_AS(nn::fold_batch_norm(net, scattered({8, 5})), "Linear: needs [..., 4], got [8, 5]",
                             ShapeError);
        CHECK(before.is_current());
        CHECK(nn::normalizers(net).size() == 2);
    }
}

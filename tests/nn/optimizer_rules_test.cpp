#include <array>
#include <functional>
#include <memory>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/nn/adam.hpp>
#include <cotape/nn/rmsprop.hpp>
#include <cotape/nn/sgd.hpp>

#include "numbers.hpp"
#include "quadratic.hpp"

using namespace cotape;
using namespace cotape::testing;

namespace {

/// What a plain loop keeps for one element between steps.
struct Memory {
    double first = 0, second = 0;
};

/// PyTorch's formula for one element: the new parameter from the old, its gradient, the rate, and the step from 1 on.
using Formula = std::function<double(double p, double g, double rate, int step, Memory& memory)>;

struct Row {
    const char* name;
    std::function<std::unique_ptr<nn::Optimizer>(nn::Module&)> make;
    Formula formula;
    /// After ten steps; printed by vectors/optimizers.py.
    std::vector<double> of_pytorch;
};

template <class Optimizer, class... Options>
auto maker(Options... options) {
    return [options...](nn::Module& model) -> std::unique_ptr<nn::Optimizer> {
        return std::make_unique<Optimizer>(model, options...);
    };
}

Formula sgd(double momentum, bool nesterov, double decay) {
    return [=](double p, double g, double rate, int step, Memory& memory) {
        g += decay * p;
        memory.first = step == 1 ? g : momentum * memory.first + g;
        if (momentum == 0) return p - rate * g;
        return p - rate * (nesterov ? g + momentum * memory.first : memory.first);
    };
}

Formula adam(double beta1, double beta2, double epsilon, double decay, bool decoupled) {
    return [=](double p, double g, double rate, int step, Memory& memory) {
        if (decoupled)
            p -= rate * decay * p;
        else
            g += decay * p;
        memory.first = beta1 * memory.first + (1 - beta1) * g;
        memory.second = beta2 * memory.second + (1 - beta2) * g * g;
        double first = memory.first / (1 - std::pow(beta1, step)), second = memory.second / (1 - std::pow(beta2, step));
        return p - rate * first / (std::sqrt(second) + epsilon);
    };
}

Formula rmsprop(double decay_rate, double epsilon, double momentum, double decay) {
    return [=](double p, double g, double rate, int, Memory& memory) {
        g += decay * p;
        memory.first = decay_rate * memory.first + (1 - decay_rate) * g * g;
        memory.second = momentum * memory.second + g / (std::sqrt(memory.first) + epsilon);
        return p - rate * memory.second;
    };
}

const std::vector<Row>& rows() {
    static const std::vector<Row> table{
        {"Sgd",
         maker<nn::Sgd>(nn::SgdOptions{.learning_rate = 0.1}),
         sgd(0, false, 0),
         {0.1934917632, -1.578859050963439, 0.2504302592}},
        {"Sgd, weight decay",
         maker<nn::Sgd>(nn::SgdOptions{.learning_rate = 0.1, .weight_decay = 0.3}),
         sgd(0, false, 0.3),
         {0.1469501316046781, -1.2362601239235911, 0.23836914619345545}},
        {"Sgd, momentum",
         maker<nn::Sgd>(nn::SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.3}),
         sgd(0.9, false, 0.3),
         {-0.16491869877269125, 0.36070469266595484, 0.28955971396374847}},
        {"Sgd, Nesterov",
         maker<nn::Sgd>(nn::SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.3}),
         sgd(0.9, true, 0.3),
         {-0.026870951344319986, 0.43992141384534073, 0.23346185189470478}},
        {"Adam",
         maker<nn::Adam>(nn::AdamOptions{.learning_rate = 0.1}),
         adam(0.9, 0.999, 1e-8, 0, false),
         {0.28506908022778127, -1.2569343230397874, 0.177241907245938}},
        {"Adam, options",
         maker<nn::Adam>(
             nn::AdamOptions{.learning_rate = 0.1, .beta1 = 0.7, .beta2 = 0.9, .epsilon = 0.01, .weight_decay = 0.3}),
         adam(0.7, 0.9, 0.01, 0.3, false),
         {0.31157786282478173, -1.2735363036734175, 0.2324888524198413}},
        {"AdamW",
         maker<nn::AdamW>(nn::AdamWOptions{.learning_rate = 0.1, .weight_decay = 0.01}),
         adam(0.9, 0.999, 1e-8, 0.01, true),
         {0.28054292965602484, -1.2446236961252219, 0.17730352035204039}},
        {"AdamW, options",
         maker<nn::AdamW>(
             nn::AdamWOptions{.learning_rate = 0.1, .beta1 = 0.7, .beta2 = 0.9, .epsilon = 0.01, .weight_decay = 0.3}),
         adam(0.7, 0.9, 0.01, 0.3, true),
         {0.1992990293860851, -0.94547139811504288, 0.24768712933522929}},
        {"RmsProp",
         maker<nn::RmsProp>(nn::RmsPropOptions{.learning_rate = 0.1}),
         rmsprop(0.99, 1e-8, 0, 0),
         {2.0429550464242061e-17, 0.68657747156686133, 0.24998171616761869}},
        {"RmsProp, options",
         maker<nn::RmsProp>(nn::RmsPropOptions{
             .learning_rate = 0.1, .decay = 0.8, .epsilon = 0.01, .momentum = 0.9, .weight_decay = 0.3}),
         rmsprop(0.8, 0.01, 0.9, 0.3),
         {-0.28537639285054689, 0.96603431113398941, 0.21557814099043324}},
    };
    return table;
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("every optimiser follows PyTorch's formula step by step") {
        for (const Row& row : rows()) {
            CAPTURE(row.name);
            Quadratic model;
            std::unique_ptr<nn::Optimizer> optimizer = row.make(model);
            std::vector<double> p(std::begin(Quadratic::start), std::end(Quadratic::start));
            std::array<Memory, 3> memories;
            double rate = 0.1;
            for (int step = 1; step <= 10; ++step) {
                CAPTURE(step);
                if (step == 6) optimizer->set_learning_rate(rate = 0.05);
                Tape tape;
                optimizer->step(model.loss(tape));
                for (std::size_t i = 0; i < 3; ++i) {
                    double g = 2 * Quadratic::curvature[i] * (p[i] - Quadratic::target[i]);
                    p[i] = row.formula(p[i], g, rate, step, memories[i]);
                }
                CHECK(distance(model.value(), p) < 1e-13);
                CHECK(optimizer->steps() == step);
            }
            CHECK(distance(model.value(), row.of_pytorch) < 1e-13);
        }
    }

    TEST_CASE("AdamW decays by 0.01 unless told otherwise, Adam not at all") {
        Quadratic a, b;
        nn::AdamW usual(a);
        nn::AdamW spelled(b, {.learning_rate = 0.001, .weight_decay = 0.01});
        Tape first, second;
        usual.step(a.loss(first));
        spelled.step(b.loss(second));
        CHECK(same_bits(a.value(), b.value()));
    }

    TEST_CASE("optimisers list their states under the parameters' paths") {
        Quadratic model;
        auto paths = [](const nn::Optimizer& optimizer) {
            std::vector<std::string> list;
            for (const auto& [path, state] : optimizer.state()) list.push_back(path);
            return list;
        };
        using Paths = std::vector<std::string>;
        CHECK(paths(nn::Sgd(model)) == Paths{});
        CHECK(paths(nn::Sgd(model, {.momentum = 0.9})) == Paths{"p.momentum"});
        CHECK(paths(nn::Adam(model)) == Paths{"p.first_moment", "p.second_moment"});
        CHECK(paths(nn::RmsProp(model)) == Paths{"p.mean_square"});
        CHECK(paths(nn::RmsProp(model, {.momentum = 0.9})) == Paths{"p.mean_square", "p.momentum"});
    }

    TEST_CASE("optimisers refuse options out of range") {
        Quadratic model;
        auto refuses = [&](auto make, const char* message) { CHECK_THROWS_WITH_AS(make(), message, ValueError); };
        refuses([&] { nn::Sgd(model, {.learning_rate = -0.1}); },
                "Sgd: learning_rate must be finite and not negative, got -0.1");
        refuses([&] { nn::Adam(model, {.learning_rate = INFINITY}); },
                "Adam: learning_rate must be finite and not negative, got inf");
        refuses([&] { nn::AdamW(model, {.learning_rate = NAN}); },
                "AdamW: learning_rate must be finite and not negative, got nan");
        refuses([&] { nn::Sgd(model, {.momentum = 1}); }, "Sgd: momentum must be in [0, 1), got 1");
        refuses([&] { nn::Sgd(model, {.momentum = NAN}); }, "Sgd: momentum must be in [0, 1), got nan");
        refuses([&] { nn::Sgd(model, {.nesterov = true}); }, "Sgd: nesterov needs a momentum above 0, got 0");
        refuses([&] { nn::Sgd(model, {.weight_decay = -1}); }, "Sgd: weight_decay must be at least 0, got -1");
        refuses([&] { nn::Adam(model, {.beta1 = 1}); }, "Adam: beta1 must be in [0, 1), got 1");
        refuses([&] { nn::Adam(model, {.beta2 = -0.1}); }, "Adam: beta2 must be in [0, 1), got -0.1");
        refuses([&] { nn::AdamW(model, {.epsilon = -1}); }, "AdamW: epsilon must be at least 0, got -1");
        refuses([&] { nn::RmsProp(model, {.decay = 1}); }, "RmsProp: decay must be in [0, 1), got 1");
        refuses([&] { nn::RmsProp(model, {.momentum = 2}); }, "RmsProp: momentum must be in [0, 1), got 2");
    }
}

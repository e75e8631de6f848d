// The programs of docs/gradient_checking.md. Expect: a pass at three orders, a failure that names its element, a
// verdict on a net, an inconclusive check, and a pass of a net of 100,930 parameters with the time that it takes.

#include <chrono>
#include <cmath>
#include <cstdio>

#include <cotape/cotape.hpp>

using namespace cotape;

namespace {

void check_a_function() {
    GradientCheckReport report = check_gradients(
        [](const std::vector<Var>& x) { return log(1 + exp(x[0])) * x[1]; },
        {Tensor::of<double>({3}, {-1.0, 0.5, 2.0}), Tensor::of<double>({3}, {0.3, -0.7, 1.1})}, {.order = 3});
    std::printf("%s\n", to_string(report).c_str());
}

// x^3 with a derivative that is wrong below 0.
const Op cube_op = elementwise(
    "cube", [](auto x) { return x * x * x; },
    [](Var, Var g, Var x) { return g * 3 * x * abs(x); });

void check_a_wrong_rule() {
    GradientCheckReport report = check_gradients(cube_op, {Tensor::of<double>({4}, {1.5, 0.5, -2.0, 1.0})});
    std::printf("%s\n", to_string(report).c_str());
}

void check_a_net() {
    std::mt19937 random(1);
    nn::Sequential net(nn::Linear(6, 5, {.bias = false}, random), nn::BatchNorm1d(5), nn::Tanh(),
                       nn::Linear(5, 3, random));
    Tensor x = nn::normal({8, 6}, 0, 1, random), labels = Tensor::of<std::int64_t>({8}, {0, 1, 2, 0, 1, 2, 0, 1});
    GradientCheckReport report =
        nn::check_gradients(net, x, [&](Var logits) { return cross_entropy(logits, labels); }, {.order = 2});
    std::printf("%s\n", to_string(report).c_str());
}

void check_what_cannot_be_seen() {
    GradientCheckReport report = check_gradients(
        [](const std::vector<Var>& x) { return sum((x[0] - batch_mean(x[0])) * rsqrt(batch_variance(x[0]) + 1e-5)); },
        {Tensor::of<double>({4, 1}, {1.0, 2.0, 4.0, 7.0})});
    std::printf("%s\n", to_string(report).c_str());
}

void check_a_large_net() {
    std::mt19937 random(1);
    nn::Sequential net(nn::Linear(784, 120, {.bias = false}, random), nn::BatchNorm1d(120), nn::Relu(),
                       nn::Linear(120, 50, {.bias = false}, random), nn::BatchNorm1d(50), nn::Tanh(),
                       nn::Linear(50, 10, random));
    std::int64_t count = 0;
    for (const auto& parameter : net.parameters()) count += parameter.state.value().size();
    Tensor x = nn::normal({64, 784}, 0, 1, random), labels = Tensor::full({64}, 3, Dtype::int64);
    auto start = std::chrono::steady_clock::now();
    GradientCheckReport report =
        nn::check_gradients(net, x, [&](Var logits) { return cross_entropy(logits, labels); });
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    std::printf("%s\n%d parameters in %.2f s\n", to_string(report).c_str(), static_cast<int>(count), taken.count());
}

} // namespace

int main() {
    check_a_function();
    check_a_wrong_rule();
    check_a_net();
    check_what_cannot_be_seen();
    check_a_large_net();
}

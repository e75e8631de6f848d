// The program of docs/derivatives.md. Expect: derivatives of a function of two numbers, a matrix that loses its rank, a
// checkpoint, and a rule of the user's.

#include <cmath>
#include <cstdio>

#include <cotape/cotape.hpp>

using namespace cotape;

namespace {

void print(const char* what, Var var) {
    Tensor value = var.value();
    std::printf("%-24s", what);
    for (std::int64_t i = 0; i < value.size(); ++i) {
        double element = value.at(i);
        if (std::isnan(element))
            std::printf("       NaN");
        else
            std::printf(" %9.4f", std::fabs(element) < 5e-5 ? 0 : element);
    }
    std::printf("\n");
}

} // namespace

int main() {
    Tape tape;
    Var x = tape.variable(Tensor::of<double>({2}, {1, 2}));
    Var v = tape.constant(Tensor::of<double>({2}, {3, -1}));
    Var y = exp(x) * prod(x); // two numbers
    Var f = sum(y);           // one

    print("gradient(f, x)", gradient(f, x));
    print("vjp(y, x, v)", vjp(y, x, v));
    print("jvp(y, x, v)", jvp(y, x, v));
    print("jacobian(y, x)", jacobian(y, x));
    print("hvp(f, x, v)", hvp(f, x, v));
    print("hessian(f, x)", hessian(f, x));
    print("its gradient", gradient(hessian(f, x), x, hessian(f, x)));

    Var a = tape.variable(Tensor::of<double>({2, 2}, {1, 2, 2, 4})); // of rank 1
    print("gradient(det(a), a)", gradient(det(a), a));
    print("hessian(det(a), a)", hessian(det(a), a));

    Tape deep;
    Var start = deep.variable(Tensor::full({256, 256}, 0.1)), end = start;
    Var weight = deep.constant(Tensor::full({256, 256}, 0.004));
    auto chain = [&](Var from, int steps) {
        for (int i = 0; i < steps; ++i) from = tanh(matmul(from, weight));
        return from;
    };
    auto megabytes = [&](Var output) {
        Var slope = gradient(sum(output), start);
        std::size_t before = buffer_pool_usage().in_use;
        reset_buffer_pool_peak();
        evaluate({&slope, 1}, Keep::requested);
        return static_cast<double>(buffer_pool_usage().peak_in_use - before) / 1e6;
    };
    std::printf("64 steps                 %6.1f MB\n", megabytes(chain(start, 64)));
    for (int i = 0; i < 8; ++i)
        end = checkpoint([&](const std::vector<Var>& inputs) { return chain(inputs[0], 8); }, {end});
    std::printf("in 8 checkpoints         %6.1f MB\n", megabytes(end));

    VarFunction softplus = with_derivative(
        [](const std::vector<Var>& in) { return log(1 + exp(in[0])); },
        [](Var, Var g, const std::vector<Var>& in) { return std::vector<Var>{g / (1 + exp(-in[0]))}; },
        {.name = "softplus", .check = true});
    Var large = tape.variable(Tensor(800.0));
    print("softplus, its own rule", gradient(log(1 + exp(large)), large));
    print("softplus, ours", gradient(softplus({large}), large));
}

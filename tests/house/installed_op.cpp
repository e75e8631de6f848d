// What a user of the installed library writes to add ops: an elementwise one, and one with a kernel of its own. Both
// are differentiated three times and gradient-checked, forward and in reverse.
#include <algorithm>
#include <cmath>
#include <iostream>

#include <cotape/cotape.hpp>

using namespace cotape;

namespace {

/// log(1 + x^2), with its derivative.
const Op log_one_plus_square_op = elementwise(
    "log_one_plus_square", [](auto x) { return std::log(1 + x * x); },
    [](Var, Var g, Var x) { return g * (2 * x) / (1 + x * x); });

Var log_one_plus_square(Operand x) { return record(log_one_plus_square_op, {x}); }

Var reversed(Operand x);

/// The elements of a vector from the last to the first.
const Op reversed_op{
    .name = "reversed",
    .type =
        [](const Call& call) {
            if (call.shape(0).size() != 1)
                throw ShapeError(call.name() + ": needs one axis, got " + to_string(call.shape(0)));
            return call.type(0);
        },
    .kernel =
        [](const Call&, const Type& output, std::span<const Tensor> inputs) {
            MutableTensor result(output);
            visit_dtype(output.dtype, [&]<class T>(T) {
                std::ranges::reverse_copy(inputs[0].elements<T>(), result.elements<T>().begin());
            });
            return std::move(result).freeze();
        },
    .derivative = [](const Rule& rule) { return reversed(rule.g); },
};

Var reversed(Operand x) { return record(reversed_op, {x}); }

} // namespace

int main() {
    auto function = [](const std::vector<Var>& x) { return log_one_plus_square(x[0]) * exp(reversed(x[0])); };
    GradientCheckReport report = check_gradients(function, {Tensor::of<double>({3}, {-0.5, 0.3, 1.2})}, {.order = 3});
    std::cout << to_string(report) << '\n';

    Tape tape;
    Var x = tape.variable(Tensor(0.5)), one = tape.full({}, 1, Dtype::float64), y = log_one_plus_square(x);
    double third = gradient(gradient(gradient(y, x), x), x).item(),
           forward = jvp(jvp(jvp(y, x, one), x, one), x, one).item();
    double expected = 4 * 0.5 * (0.25 - 3) / std::pow(1.25, 3);
    std::cout << "third derivative: " << third << ", forward " << forward << ", expected " << expected << '\n';
    return report && std::abs(third - expected) < 1e-14 && std::abs(forward - expected) < 1e-14 ? 0 : 1;
}

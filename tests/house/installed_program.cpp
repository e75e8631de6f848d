// What a user of the installed library writes: fits y = 2 x + 1 and prints the result.
#include <cmath>
#include <iostream>

#include <cotape/cotape.hpp>

using namespace cotape;

int main() {
    Tensor inputs = Tensor::of<double>({3}, {0, 1, 2}), targets = Tensor::of<double>({3}, {1, 3, 5});
    State slope(Tensor(0.0)), offset(Tensor(0.0));
    for (int step = 0; step < 500; ++step) {
        Tape tape;
        Var a = tape.variable(slope), b = tape.variable(offset);
        Var loss = mean_squared_error(a * tape.constant(inputs) + b, tape.constant(targets));
        std::vector<Var> gradient = gradients(loss, {a, b});
        tape.propose(slope, a - 0.2 * gradient[0]);
        tape.propose(offset, b - 0.2 * gradient[1]);
        commit(tape);
    }
    std::cout << "y = " << slope.value().item() << " x + " << offset.value().item() << '\n';
    return std::abs(slope.value().item() - 2) < 1e-6 && std::abs(offset.value().item() - 1) < 1e-6 ? 0 : 1;
}

// Makes one small step, named on the command line, for instruction_counts.py to count under callgrind: after two that
// are not counted, since plans are made once.

#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

#include "works.hpp"

using namespace cotape;

/// What callgrind counts: this function with all that it calls.
extern "C" [[gnu::noinline]] void counted_step(const std::function<void()>& step) { step(); }

namespace {

/// An elementwise chain with a sum at its end, and its derivative: two fused groups.
void fused_chain() {
    static const Tensor values = Tensor::full({64, 256}, 0.5);
    Tape tape;
    Var x = tape.variable(values), y = x;
    for (int i = 0; i < 4; ++i) y = relu(y * x + 0.25) - square(y);
    std::vector<Var> results{sum(y), gradient(sum(y), x)};
    evaluate(results, Keep::requested);
}

} // namespace

int main(int count, char** arguments) {
    try {
        std::string name = count == 2 ? arguments[1] : "";
        std::function<void()> step = name == "fused_chain" ? fused_chain : works::find(name).prepare();
        step();
        step();
        counted_step(step);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "counted_steps: %s\n", error.what());
        return 1;
    }
}

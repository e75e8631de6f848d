// The bytes that composed batch norm reads and writes, forward and backward, by the evaluation's own record, against
// those that it must. Status 1 where it is more than 1.3 times as many.

#include <random>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/sequential.hpp>

using namespace cotape;

namespace {

/// A tensor that does not stay in the cache passes eight times: x is read for the statistics, x is read and y written
/// to normalise; x and the cotangent are read for the two sums, both are read and the cotangent of x is written. A mean
/// is needed before the first element can be normalised, and the sums before the first cotangent is known.
constexpr double necessary_passes = 8;
constexpr double most = 1.3;

/// Whether the module moves few enough bytes on an input of this shape.
bool report(const char* name, nn::Module& module, const Shape& shape) {
    std::mt19937 random(1);
    Tape tape({.evaluator = Evaluator::fused});
    Var x = tape.variable(nn::uniform(shape, -1, 1, random)), y = module(x);
    std::vector<Var> wanted{x};
    for (const auto& [path, parameter] : module.parameters()) wanted.push_back(tape.variable(parameter));
    std::vector<Var> results = gradients(y, wanted, tape.constant(nn::uniform(shape, -1, 1, random)));
    results.push_back(y);
    commit(tape, results);

    double whole = static_cast<double>(x.value().bytes()), read = 0, written = 0;
    fmt::print("{} on {}, in tensors of that size\n  {:>6} {:>8}\n", name, to_string(shape), "read", "written");
    for (const MemoryPlan::Step& step : tape.memory_plan().steps) {
        double reads = static_cast<double>(step.read) / whole, writes = static_cast<double>(step.written) / whole;
        if (reads + writes >= 0.5) fmt::print("  {:>6.2f} {:>8.2f}  {}\n", reads, writes, step.writes);
        read += reads;
        written += writes;
    }
    double ratio = (read + written) / necessary_passes;
    fmt::print("  {:>6.2f} {:>8.2f}  in all: {:.2f} times what it must\n", read, written, ratio);
    return ratio <= most;
}

} // namespace

int main() {
    nn::BatchNorm1d features(1024);
    nn::Sequential images(nn::BatchNorm2d(64), nn::Relu());
    bool first = report("BatchNorm1d", features, {256, 1024});
    bool second = report("BatchNorm2d and relu", images, {64, 64, 56, 56});
    return first && second ? 0 : 1;
}

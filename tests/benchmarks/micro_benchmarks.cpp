// Every work, step by step, and the cost of recording alone. The context lines name libraries, CPU and threads.

#include <sstream>
#include <string>

#include <benchmark/benchmark.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/runtime_info.hpp>

#include "works.hpp"

namespace {

using namespace cotape;

void time_steps(benchmark::State& state, const works::Work& work) {
    std::function<void()> step = work.prepare();
    step();
    for (auto _ : state) step();
    if (work.parts > 1)
        state.counters["each"] = benchmark::Counter(
            work.parts, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

/// Records a chain and its derivative on a tape that keeps its memory; `each` is the time of one node.
void record_only(benchmark::State& state) {
    Tape tape;
    std::size_t nodes = 0;
    for (auto _ : state) {
        tape.clear();
        Var x = tape.variable(Tensor(0.5f));
        Var y = x;
        for (int i = 0; i < 500; ++i) y = tanh(y) * x;
        benchmark::DoNotOptimize(gradient(y, x));
        nodes = tape.size();
    }
    state.counters["each"] =
        benchmark::Counter(static_cast<double>(nodes),
                           benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

} // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    std::istringstream lines(runtime_info());
    for (std::string line; std::getline(lines, line);) {
        std::size_t colon = line.find(": ");
        benchmark::AddCustomContext(line.substr(0, colon), line.substr(colon + 2));
    }
    for (const works::Work& work : works::all())
        benchmark::RegisterBenchmark(work.name.c_str(), [&work](benchmark::State& state) { time_steps(state, work); })
            ->Unit(benchmark::kMicrosecond)->UseRealTime();
    benchmark::RegisterBenchmark("record_node", record_only)->Unit(benchmark::kMicrosecond)->UseRealTime();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}

// Times the steps of one work: microseconds a step, the median and all of them. With --serve it stays, and answers each
// line "COUNT" on standard input with the times of as many steps, so that compare_pytorch.py can take turns.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <omp.h>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/ops/runtime_info.hpp>

#include "works.hpp"

namespace {

/// Steps before each series that are not counted: they wake threads and warm caches.
constexpr int warm_up = 3;

std::vector<double> times_of(const std::function<void()>& step, int parts, int count) {
    std::vector<double> times;
    for (int i = -warm_up; i < count; ++i) {
        auto start = std::chrono::steady_clock::now();
        step();
        std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
        if (i >= 0) times.push_back(taken.count() / parts);
    }
    return times;
}

std::size_t peak_bytes(const std::function<void()>& step) {
    for (int i = 0; i < warm_up; ++i) step();
    cotape::reset_buffer_pool_peak();
    std::size_t before = cotape::buffer_pool_usage().in_use;
    step();
    return cotape::buffer_pool_usage().peak_in_use - before;
}

void print_line(const std::vector<double>& times) {
    for (double time : times) fmt::print("{:.4f} ", time);
    fmt::print("\n");
    std::fflush(stdout);
}

double median(std::vector<double> values) {
    auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}

} // namespace

int main(int argc, char** argv) {
    std::string name = "mlp_256";
    int threads = 1, repetitions = 200;
    bool list = false, serve = false, information = false, memory = false;
    CLI::App app("Times the steps of one work in microseconds.");
    app.add_option("--work", name, "Which work; --list names them")->capture_default_str();
    app.add_option("--threads", threads, "Threads to compute with")->check(CLI::Range(1, 1024))->capture_default_str();
    app.add_option("--repetitions", repetitions, "Steps to time")->check(CLI::Range(1, 1000000))->capture_default_str();
    app.add_flag("--list", list, "Print the works and leave");
    app.add_flag("--information", information, "Print libraries, CPU and threads and leave");
    app.add_flag("--memory", memory,
                 "Print the most bytes that a step holds at once beyond what is there between steps");
    app.add_flag("--serve", serve, "Answer each line COUNT on standard input with the times of COUNT steps");
    CLI11_PARSE(app, argc, argv);
    omp_set_num_threads(threads);
    if (list)
        for (const works::Work& work : works::all()) fmt::print("{}\t{}\t{}\n", work.name, work.title, work.parts);
    if (information) fmt::print("{}", cotape::runtime_info());
    if (list || information) return 0;

    try {
        works::Work work = works::find(name);
        std::function<void()> step = work.prepare();
        if (memory) {
            fmt::print("{}\n", peak_bytes(step));
            return 0;
        }
        if (!serve) {
            std::vector<double> times = times_of(step, work.parts, repetitions);
            fmt::print("{}: median {:.3f} us, all: ", work.name, median(times));
            print_line(times);
            return 0;
        }
        for (int count; std::cin >> count;) print_line(times_of(step, work.parts, count));
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "step_times: {}\n", error.what());
        return 1;
    }
}

#include <cotape/core/series_run.hpp>

#include <algorithm>
#include <optional>

#include <omp.h>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/buffer_reuse.hpp>
#include <cotape/core/evaluation.hpp>
#include <cotape/core/failure.hpp>
#include <cotape/core/group_run.hpp>
#include <cotape/core/group_worker.hpp>

namespace cotape {
namespace {

/// What a part may take: a second-level cache.
constexpr std::int64_t bytes_of_part = 1024 * 1024;
/// What the blocks take that make a stretch.
constexpr std::int64_t bytes_of_stretch = 128 * 1024;

std::int64_t unit_of(const Cut& cut, std::int64_t bytes) {
    if (cut.into == Cut::Into::columns) return columns_of_cache_line;
    if (cut.into == Cut::Into::channels) return channels_of_stretch(cut.count, cut.pixels);
    return std::max<std::int64_t>(1, bytes_of_stretch / bytes);
}

/// Parts that stay in the cache, as many for each thread.
Parts parts_of(const Series& series, std::int64_t threads) {
    const Cut& cut = series.cut;
    std::int64_t bytes = std::max<std::int64_t>(1, series.bytes), unit = unit_of(cut, bytes);
    if (cut.into == Cut::Into::channels) return {cut, unit, unit};
    std::int64_t share = (cut.count + threads - 1) / threads;
    std::int64_t most = std::max({unit, series.least, bytes_of_part / bytes});
    if (cut.into == Cut::Into::columns && std::min(most, share) < cut.count) most = std::min(most, longest_tile);
    std::int64_t rounds = (share + most - 1) / most, width = (share + rounds - 1) / rounds;
    return {cut, std::min(cut.count, (width + unit - 1) / unit * unit), unit};
}

/// What one thread needs for all groups of a series.
class Worker {
  public:
    explicit Worker(std::vector<GroupRun>& runs) {
        std::size_t bytes = 0;
        for (const GroupRun& run : runs) bytes = std::max(bytes, run.scratch_bytes());
        scratch_ = allocate_buffer(bytes);
        groups_.reserve(runs.size());
        for (GroupRun& run : runs) groups_.emplace_back(run, scratch_.get());
    }
    void run(std::int64_t part) {
        for (GroupWorker& group : groups_) group.run(part);
    }
    void run(std::size_t group, std::int64_t part) { groups_[group].run(part); }

  private:
    std::shared_ptr<std::byte> scratch_;
    std::vector<GroupWorker> groups_;
};

/// Calls `run(attempt, thread, threads)` on one thread or on all. `attempt(work)` calls `work(Worker&)`, unless there
/// is none for want of memory; what it throws is thrown here when all threads are through.
template <class Run>
void on_threads(std::vector<GroupRun>& runs, bool one, Run run) {
    Failure failure;
    auto on_thread = [&](std::int64_t thread, std::int64_t threads) {
        std::optional<Worker> worker;
        failure.attempt([&] { worker.emplace(runs); });
        auto attempt = [&](auto work) {
            if (worker) failure.attempt([&] { work(*worker); });
        };
        run(attempt, thread, threads);
    };
    if (one) {
        on_thread(0, 1);
    } else {
#pragma omp parallel
        on_thread(omp_get_thread_num(), omp_get_num_threads());
    }
    failure.rethrow();
}

/// Calls `visit(part)` for a thread's share of so many parts.
template <class Visit>
void for_share(std::int64_t parts, std::int64_t thread, std::int64_t threads, Visit visit) {
    for (std::int64_t part = parts * thread / threads; part < parts * (thread + 1) / threads; ++part) visit(part);
}

void run_by_parts(std::vector<GroupRun>& runs) {
    std::int64_t parts = runs.front().parts();
    on_threads(runs, parts == 1, [&](auto& attempt, std::int64_t thread, std::int64_t threads) {
        for_share(parts, thread, threads, [&](std::int64_t part) {
            attempt([&](Worker& worker) { worker.run(part); });
        });
    });
    for (GroupRun& run : runs) run.join();
}

void run_one_by_one(std::vector<GroupRun>& runs) {
    bool one = omp_get_max_threads() == 1 ||
               std::ranges::all_of(runs, [](const GroupRun& run) { return run.parts() == 1; });
    on_threads(runs, one, [&](auto& attempt, std::int64_t thread, std::int64_t threads) {
        auto wait_for_all = [&] {
            if (threads == 1) return;
#pragma omp barrier
        };
        for (std::size_t group = 0; group < runs.size(); ++group) {
            if (group > 0) wait_for_all();
            for_share(runs[group].parts(), thread, threads, [&](std::int64_t part) {
                attempt([&](Worker& worker) { worker.run(group, part); });
            });
            if (!runs[group].is_joined()) continue;
            wait_for_all();
            runs[group].join(thread, threads);
        }
    });
}

} // namespace

void run_series(Tape& tape, const FusionPlan& plan, std::span<const PlanUnit> units, ResultMemory& memory,
                bool recycles) {
    auto group_of = [&](const PlanUnit& unit) -> const Group& {
        return plan.groups[static_cast<std::size_t>(unit.group)];
    };
    const Series* series =
        units.front().series < 0 ? nullptr : &plan.series[static_cast<std::size_t>(units.front().series)];
    std::optional<Parts> parts;
    if (series && !series->one_by_one) {
        std::int64_t cost = 0;
        for (const PlanUnit& unit : units)
            if (unit.group >= 0) cost += cost_of(group_of(unit));
        parts = parts_of(*series, threads_for(cost));
    }
    try {
        std::vector<GroupRun> runs;
        runs.reserve(units.size());
        for (const PlanUnit& unit : units) {
            if (unit.group >= 0)
                runs.emplace_back(tape, group_of(unit), memory, recycles, parts ? &*parts : nullptr);
            else
                tape.set_computed(unit.node, compute_node(tape, tape.node(unit.node)));
            if (recycles && &unit != &units.back())
                for (NodeId id : unit.dying) tape.set_computed(id, Tensor());
        }
        if (series && series->one_by_one)
            run_one_by_one(runs);
        else
            run_by_parts(runs);
    } catch (...) {
        for (const PlanUnit& unit : units)
            for_each_write(plan, unit, [&](NodeId id, const GroupStep*) { tape.set_computed(id, Tensor()); });
        throw;
    }
}

} // namespace cotape

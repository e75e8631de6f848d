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
    std::int64_t share = (cut.count + threads - 1) / threads, most = std::max({unit, series.least, bytes_of_part / bytes});
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

void run_by_parts(std::vector<GroupRun>& runs) {
    std::int64_t parts = runs.front().parts();
    if (parts == 1) {
        Worker(runs).run(0);
    } else {
        Failure failure;
#pragma omp parallel
        {
            std::optional<Worker> worker;
            failure.attempt([&] { worker.emplace(runs); });
#pragma omp for schedule(static)
            for (std::int64_t part = 0; part < parts; ++part)
                if (worker) failure.attempt([&] { worker->run(part); });
        }
        failure.rethrow();
    }
    for (GroupRun& run : runs) run.join();
}

void run_one_by_one(std::vector<GroupRun>& runs) {
    if (std::ranges::all_of(runs, [](const GroupRun& run) { return run.parts() == 1; })) return run_by_parts(runs);
    Failure failure;
#pragma omp parallel
    {
        std::optional<Worker> worker;
        failure.attempt([&] { worker.emplace(runs); });
        for (std::size_t group = 0; group < runs.size(); ++group) {
#pragma omp for schedule(static)
            for (std::int64_t part = 0; part < runs[group].parts(); ++part)
                if (worker) failure.attempt([&] { worker->run(group, part); });
            runs[group].join(omp_get_thread_num(), omp_get_num_threads());
#pragma omp barrier
        }
    }
    failure.rethrow();
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

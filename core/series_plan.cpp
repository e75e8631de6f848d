#include <cotape/core/series_plan.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include <cotape/core/buffer_reuse.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

/// So many units that neither join nor need anything of a series may come between two groups that do.
constexpr std::size_t most_between = 32;
/// So many groups of a series go over the space of the first: what dies within it stays in memory until all have run.
constexpr std::size_t most_whole_groups = 8;
/// Where the least part takes more, it would not stay in the cache.
constexpr std::int64_t most_bytes = 1024 * 1024;
/// Where all columns take less, they stay there anyway, and threads are better given rows (see GroupRun).
constexpr std::int64_t least_bytes_of_columns = 1024 * 1024;
constexpr std::int64_t least_width = 64;
/// So many numbers the states of a fold may have whose outputs have elements in all blocks, each block a state.
constexpr std::int64_t most_joined = 64 * 1024;

/// How far apart neighbours along an axis of a space are in what is read for them.
std::int64_t stride_along(const GroupLoad& load, const Shape& space, std::size_t axis) {
    std::size_t offset = space.size() - load.shape.size();
    return axis < offset || load.shape[axis - offset] == 1 ? 0 : load.view.strides[axis - offset];
}

bool keeps_columns(const GroupLoad& load, const Shape& space, std::int64_t columns) {
    std::int64_t inner = 1;
    for (std::size_t axis = space.size(); axis-- > 0;) {
        if (space[axis] == 1) continue;
        std::int64_t stride = stride_along(load, space, axis);
        if (inner < columns ? stride != inner : stride % columns != 0) return false;
        if (inner < columns) inner *= space[axis];
    }
    return inner == columns && load.view.offset % columns == 0;
}

/// The outer axes, or a part of one, must step from block to block, and the others stay within a block.
bool keeps_blocks(const GroupLoad& load, std::int64_t size, const Shape& space, std::int64_t blocks) {
    std::int64_t left = blocks, first = load.view.offset, last = first;
    for (std::size_t axis = 0; axis < space.size(); ++axis) {
        if (space[axis] == 1) continue;
        std::int64_t stride = stride_along(load, space, axis), inner = space[axis];
        if (left > 1) {
            std::int64_t outer = std::gcd(left, inner);
            inner /= outer;
            left /= outer;
            if ((inner > 1 && left > 1) || stride * inner != size / blocks * left) return false;
        }
        (stride < 0 ? first : last) += (inner - 1) * stride;
    }
    return left == 1 && first >= 0 && last < size / blocks;
}

/// Where a unit goes, of those between the first and the last of a series.
enum class Place { before, within, after };

class Former {
  public:
    Former(FusionPlan& plan, const Tape& tape) : plan_(plan), tape_(tape) {}

    void run() {
        for (std::size_t begin = 0; begin < plan_.units.size();)
            if (!form(begin)) ++begin; // what went before a series is looked at in turn
    }

  private:
    const Group& group_of(const PlanUnit& unit) const { return plan_.groups[static_cast<std::size_t>(unit.group)]; }
    std::int64_t size_of_node(NodeId id) const { return element_count(tape_.node(id).type.shape); }

    static bool overwrites_state(const Group& group) {
        return std::ranges::any_of(group.loads, &GroupLoad::of_state);
    }

    /// By which the folds of a group are cut: by columns if all fold rows, or else into blocks that share no outputs,
    /// but for folds whose elements all do.
    std::optional<Cut> cut_of(const PlanUnit& unit) const {
        if (unit.group < 0 || unit.series >= 0 || group_of(unit).folds.empty()) return std::nullopt;
        const Group& group = group_of(unit);
        std::int64_t count = element_count(group.space.shape), block = 1, columns = 0;
        if (count == 0) return std::nullopt;
        for (const FoldWalk& walk : group.walks) {
            if (walk.folds_rows()) columns = walk.run();
            if (walk.block() < count) block = std::lcm(block, walk.block());
        }
        return block == 1 ? Cut{true, columns} : Cut{false, count / block};
    }

    bool fits(const Group& group, const Cut& cut) const {
        const Shape& space = group.space.shape;
        std::int64_t count = element_count(space);
        GroupLoad whole{.node = -1, .in_place = true, .shape = space, .view = {0, dense_strides(space)}};
        return !overwrites_state(group) && reads_within_parts(whole, count, space, cut) &&
               std::ranges::all_of(group.steps,
                                   [&](const GroupStep& step) {
                                       return step.kernel || (!cut.by_columns && count / cut.count % space.back() == 0);
                                   }) &&
               std::ranges::all_of(group.walks, [&](const FoldWalk& walk) {
                   if (is_joined(walk, count, cut)) // each block takes in whole runs
                       return walk.outputs() * cut.count <= most_joined &&
                              (walk.run_is_reduced() || count / cut.count % walk.run() == 0);
                   if (!walk.folds_within_chunks()) return false;
                   if (cut.by_columns) return walk.folds_rows() && walk.run() == cut.count;
                   return !walk.run_is_reduced() || walk.run() <= longest_tile;
               });
    }

    /// Whether outputs of a fold have elements in several blocks: nobody reads them before all parts have run.
    static bool is_joined(const FoldWalk& walk, std::int64_t count, const Cut& cut) {
        return !cut.by_columns && count / cut.count % walk.block() != 0;
    }

    /// Makes a series that begins with the unit there, if that pays. Then the units from there on are others.
    bool form(std::size_t begin) {
        std::optional<Cut> cut = cut_of(plan_.units[begin]);
        if (!cut || cut->count < 2 || !fits(group_of(plan_.units[begin]), *cut)) return false;
        std::int64_t whole = element_count(group_of(plan_.units[begin]).space.shape);
        std::unordered_set<NodeId> touched, written, late;
        std::vector<Place> places;
        std::size_t size = 0, whole_groups = 0;
        for (std::size_t i = begin; i < plan_.units.size() && i - begin <= size + most_between; ++i) {
            const PlanUnit& unit = plan_.units[i];
            if (unit.group >= 0 && overwrites_state(group_of(unit))) break;
            bool needs_it = false, needs_late = false, shares = i == begin;
            for_each_read(plan_, unit, tape_, [&](NodeId id) {
                needs_it |= written.contains(id);
                needs_late |= late.contains(id);
                shares |= touched.contains(id) && size_of_node(id) == whole;
            });
            auto add_writes = [&](auto&... sets) {
                for_each_write(plan_, unit, [&](NodeId id, const GroupStep*) { (sets.insert(id), ...); });
            };
            bool joins = (needs_it || shares) && !needs_late && can_join(unit, written, *cut);
            if ((needs_it && !joins && !needs_late) || (needs_late && unit.series >= 0)) break;
            places.push_back(joins ? Place::within : needs_late ? Place::after : Place::before);
            if (needs_late) add_writes(late);
            if (!joins) continue;
            add_writes(written, touched);
            if (unit.group < 0) continue;
            for_each_read(plan_, unit, tape_, [&](NodeId id) { touched.insert(id); });
            const Group& group = group_of(unit);
            std::int64_t count = element_count(group.space.shape);
            for (const GroupFold& fold : group.folds)
                if (is_joined(group.walks[static_cast<std::size_t>(fold.walk)], count, *cut)) late.insert(fold.node);
            if (count != whole) continue;
            size = i + 1 - begin;
            if (++whole_groups == most_whole_groups) break;
        }
        if (whole_groups < 2) return false;
        places.resize(size);
        return keep(begin, places, *cut);
    }

    bool can_join(const PlanUnit& unit, const std::unordered_set<NodeId>& written, const Cut& cut) const {
        if (unit.series >= 0) return false;
        if (unit.group < 0) return tape_.node(unit.node).op->kind == OpKind::view;
        const Group& group = group_of(unit);
        return fits(group, cut) && std::ranges::all_of(group.loads, [&](const GroupLoad& load) {
            return !written.contains(load.node) ||
                   reads_within_parts(load, size_of_node(load.node), group.space.shape, cut);
        });
    }

    /// Marks the units within as a series, with the others before and after it, unless its parts are too large.
    bool keep(std::size_t begin, const std::vector<Place>& places, const Cut& cut) {
        std::array<std::vector<PlanUnit>, 3> units;
        for (std::size_t i = 0; i < places.size(); ++i)
            units[static_cast<std::size_t>(places[i])].push_back(plan_.units[begin + i]);
        std::vector<PlanUnit>& within = units[static_cast<std::size_t>(Place::within)];
        std::int64_t bytes = bytes_of(within), of_part = bytes / cut.count;
        if (of_part * (cut.by_columns ? std::min(cut.count, least_width) : 1) > most_bytes) return false;
        for (PlanUnit& unit : within) unit.series = static_cast<std::int32_t>(plan_.series.size());
        plan_.series.push_back({cut, of_part, cut.by_columns && bytes <= least_bytes_of_columns});
        auto rest = plan_.units.begin() + static_cast<std::ptrdiff_t>(begin);
        for (std::vector<PlanUnit>& moved : units) rest = std::ranges::move(moved, rest).out;
        return true;
    }

    /// What groups over spaces like these read and write, each value once.
    std::int64_t bytes_of(const std::vector<PlanUnit>& units) const {
        std::unordered_map<NodeId, std::int64_t> elements;
        std::int64_t bytes = 0;
        for (const PlanUnit& unit : units) {
            if (unit.group < 0) continue;
            const Group& group = group_of(unit);
            std::int64_t count = element_count(group.space.shape);
            auto use = [&](NodeId id) {
                std::int64_t& counted = elements[id], more = std::min(count, size_of_node(id)) - counted;
                if (more <= 0) return;
                bytes += more * static_cast<std::int64_t>(size_of(group.space.dtype));
                counted += more;
            };
            for (const GroupLoad& load : group.loads) use(load.node);
            for_each_write(plan_, unit, [&](NodeId id, const GroupStep*) { use(id); });
        }
        return bytes;
    }

    FusionPlan& plan_;
    const Tape& tape_;
};

} // namespace

void form_series(FusionPlan& plan, const Tape& tape) { Former(plan, tape).run(); }

bool reads_within_parts(const GroupLoad& load, std::int64_t size, const Shape& space, const Cut& cut) {
    if (size == 0 || size % cut.count != 0) return false;
    return cut.by_columns ? keeps_columns(load, space, cut.count) : keeps_blocks(load, size, space, cut.count);
}

} // namespace cotape

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
/// Channels, each of which is read from memory once then, are worth a larger cache.
constexpr std::int64_t most_bytes_of_channel = 8 * 1024 * 1024;
/// Where all columns or channels take less, they stay there anyway, and each group is better cut on its own.
constexpr std::int64_t least_bytes = 1024 * 1024;
/// Rows whose length has a large power of two in common with a way of a cache lie in the same few sets of it, and parts
/// of these rows in fewer: as many rows of them stay in the cache as of whole rows.
constexpr std::int64_t elements_of_way = 16 * 1024;
constexpr std::int64_t least_width = 64;
/// So many numbers the states of a fold may have whose outputs have elements in all blocks, each block a state.
constexpr std::int64_t most_joined = 64 * 1024;

/// How far apart neighbours along an axis of a space are in what is read for them.
std::int64_t stride_along(const GroupLoad& load, const Shape& space, std::size_t axis) {
    std::size_t offset = space.size() - load.shape.size();
    return axis < offset || load.shape[axis - offset] == 1 ? 0 : load.view.strides[axis - offset];
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

    /// By which the folds of a group are cut: into columns if all fold rows, into channels if all fold those, or else
    /// into blocks that share no outputs, but for folds whose elements all do.
    std::optional<Cut> cut_of(const PlanUnit& unit) const {
        if (unit.group < 0 || unit.series >= 0 || group_of(unit).folds.empty()) return std::nullopt;
        const Group& group = group_of(unit);
        std::int64_t count = element_count(group.space.shape), block = 1, columns = 0;
        if (count == 0) return std::nullopt;
        if (std::ranges::all_of(group.walks, &FoldWalk::folds_channels))
            return Cut{Cut::Into::channels, group.walks.front().outputs(), group.walks.front().run()};
        for (const FoldWalk& walk : group.walks) {
            if (walk.folds_rows()) columns = walk.run();
            if (walk.block() < count) block = std::lcm(block, walk.block());
        }
        return block == 1 ? Cut{Cut::Into::columns, columns} : Cut{Cut::Into::blocks, count / block};
    }

    bool fits(const Group& group, const Cut& cut) const {
        const Shape& space = group.space.shape;
        std::int64_t count = element_count(space);
        GroupLoad whole{.node = -1, .in_place = true, .shape = space, .view = {0, dense_strides(space)}};
        return !overwrites_state(group) && reads_within_parts(whole, count, space, cut) &&
               std::ranges::all_of(group.steps,
                                   [&](const GroupStep& step) {
                                       return step.kernel || cut.inner(count) % space.back() == 0;
                                   }) &&
               std::ranges::all_of(group.walks, [&](const FoldWalk& walk) {
                   if (is_joined(walk, count, cut)) // each block takes in whole runs
                       return walk.outputs() * cut.count <= most_joined &&
                              (walk.run_is_reduced() || count / cut.count % walk.run() == 0);
                   if (!walk.folds_within_chunks()) return false;
                   if (cut.into == Cut::Into::columns) return walk.folds_rows() && walk.run() == cut.count;
                   if (cut.into == Cut::Into::channels)
                       return walk.folds_channels() && walk.outputs() == cut.count && walk.run() == cut.pixels;
                   return !walk.run_is_reduced() || walk.run() <= longest_tile;
               });
    }

    /// Whether outputs of a fold have elements in several blocks: nobody reads them before all parts have run.
    static bool is_joined(const FoldWalk& walk, std::int64_t count, const Cut& cut) {
        return cut.into == Cut::Into::blocks && count / cut.count % walk.block() != 0;
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
        bool by_columns = cut.into == Cut::Into::columns;
        std::int64_t narrow = by_columns ? std::min(cut.count, least_width) : 1;
        if (of_part * narrow > (cut.into == Cut::Into::channels ? most_bytes_of_channel : most_bytes)) return false;
        for (PlanUnit& unit : within) unit.series = static_cast<std::int32_t>(plan_.series.size());
        bool is_wide = by_columns && of_part * std::gcd(cut.count, elements_of_way) > most_bytes;
        std::int64_t least = is_wide ? longest_tile : 1;
        bool one_by_one = is_wide ? cut.count <= least : cut.into != Cut::Into::blocks && bytes <= least_bytes;
        plan_.series.push_back({cut, of_part, least, one_by_one});
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
    std::int64_t count = element_count(space), inner = cut.inner(size), row = cut.count * inner;
    std::int64_t row_of_space = cut.count * cut.inner(count);
    if (row == 0 || size % row != 0 || row_of_space == 0 || count % row_of_space != 0) return false;
    // What is left of the space's inner elements, of its parts, and of its rows, and what lies between neighbours.
    std::int64_t first = load.view.offset % row, last = first, between = inner;
    std::array left{cut.inner(count), cut.count, count};
    for (std::size_t axis = space.size(), region = 0; axis-- > 0;) {
        std::int64_t stride = stride_along(load, space, axis), extent = space[axis];
        while (extent > 1) { // an axis may go through several
            while (left[region] == 1) ++region;
            std::int64_t within = std::gcd(extent, left[region]);
            if (within == 1) return false;
            if (region == 0) (stride < 0 ? first : last) += (within - 1) * stride;
            if (region == 1 && stride != between) return false;
            if (region == 1) between *= within;
            if (region == 2 && stride % row != 0) return false;
            left[region] /= within;
            extent /= within;
            stride *= within;
        }
    }
    return first >= 0 && last < inner;
}

} // namespace cotape

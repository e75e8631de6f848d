#include <cotape/core/buffer_reuse.hpp>

#include <algorithm>
#include <unordered_map>

#include <cotape/core/series_plan.hpp>

namespace cotape {
namespace {

class Reuse {
  public:
    Reuse(FusionPlan& plan, const Tape& tape, std::span<const NodeId> requested, std::span<const NodeId> expendable)
        : plan_(plan), tape_(tape), first_(static_cast<NodeId>(tape.size())), last_(-1) {
        auto include = [&](NodeId id) { first_ = std::min(first_, id), last_ = std::max(last_, id); };
        for (NodeId id : expendable) include(id);
        for (const PlanUnit& unit : plan.units)
            for_each_write(plan, unit, [&](NodeId id, const GroupStep*) { include(id); });
        facts_.resize(static_cast<std::size_t>(last_ + 1 - first_));
        for (NodeId id : expendable) of(id).expendable = true;
        for (NodeId id : requested)
            if (concerns(id)) of(id).requested = true;
    }

    void run() {
        delay_what_overwrites_states();
        form_series(plan_, tape_);
        find_last_readers();
        place_what_parts_overwrite();
        for_each_overwriting([&](GroupStep& step, std::size_t load, const Group& group) {
            step.overwrites = static_cast<OperandIndex>(load);
            if (!is_overwritten_in_place(plan_.placements, group.loads[load].node)) plan_.placements.erase(step.store);
        });
    }

  private:
    struct Facts {
        bool expendable = false, requested = false;
        bool dying = false;
        /// A node that does not fuse reads it: its value may lie in the same memory.
        bool read_by_op = false;
        std::int32_t readers = 0;
        /// The unit that writes it, and the last that reads or writes it; -1 where the plan does not write it.
        std::int32_t writer = -1, last_unit = -1;
    };
    /// What is neither written nor expendable is there to stay.
    bool concerns(NodeId id) const { return id >= first_ && id <= last_; }
    Facts& of(NodeId id) { return facts_[static_cast<std::size_t>(id - first_)]; }
    const Cut& cut_of(const PlanUnit& unit) const { return plan_.series[static_cast<std::size_t>(unit.series)].cut; }
    Group& group_of(const PlanUnit& unit) { return plan_.groups[static_cast<std::size_t>(unit.group)]; }

    void delay_what_overwrites_states() {
        for (const PlanUnit& unit : plan_.units)
            for_each_read(plan_, unit, tape_, [&](NodeId id) {
                if (concerns(id)) ++of(id).readers;
            });
        std::ranges::stable_partition(plan_.units, [&](const PlanUnit& unit) {
            if (unit.group < 0) return true;
            bool read_elsewhere = false, overwrites = false;
            for_each_write(plan_, unit, [&](NodeId id, const GroupStep*) { read_elsewhere |= of(id).readers > 0; });
            for (GroupLoad& load : group_of(unit).loads) {
                if (!load.in_place || !concerns(load.node)) continue;
                const Facts& facts = of(load.node);
                load.of_state = facts.expendable && !facts.requested && facts.readers == 1 && !read_elsewhere;
                overwrites |= load.of_state;
            }
            return !overwrites;
        });
    }

    void find_last_readers() {
        for (std::size_t i = 0; i < plan_.units.size(); ++i) {
            std::int32_t position = static_cast<std::int32_t>(i);
            for_each_read(plan_, plan_.units[i], tape_, [&](NodeId id) {
                if (concerns(id) && of(id).last_unit >= 0) of(id).last_unit = position;
                if (concerns(id)) of(id).read_by_op |= plan_.units[i].group < 0;
            });
            for_each_write(plan_, plan_.units[i], [&](NodeId id, const GroupStep*) {
                of(id).writer = of(id).last_unit = position;
            });
        }
        for (const PlanUnit& unit : plan_.units)
            for_each_write(plan_, unit, [&](NodeId id, const GroupStep*) {
                if (of(id).requested) return;
                of(id).dying = true;
                unit_of_death(of(id)).dying.push_back(id);
            });
    }

    /// What dies within a series is held until all of it has run, but for what the series writes and then sees through
    /// a view alone, which holds it.
    PlanUnit& unit_of_death(const Facts& facts) {
        PlanUnit* unit = &plan_.units[static_cast<std::size_t>(facts.last_unit)];
        bool has_view = unit->group < 0 && plan_.units[static_cast<std::size_t>(facts.writer)].series == unit->series;
        if (unit->series < 0 || has_view) return *unit;
        while (unit != &plan_.units.back() && unit[1].series == unit->series) ++unit;
        return *unit;
    }

    /// Whether a series reads parts of a value as it works on others.
    bool is_read_across_parts(NodeId id, std::span<const PlanUnit> units) {
        return units.front().series >= 0 && std::ranges::any_of(units, [&](const PlanUnit& unit) {
            return unit.group >= 0 && std::ranges::any_of(group_of(unit).loads, [&](const GroupLoad& load) {
                return load.node == id && !reads_within_parts(load, element_count(tape_.node(id).type.shape),
                                                              group_of(unit).space.shape, cut_of(unit));
            });
        });
    }

    /// What a part of a whole is written over lies where that part will be, if that holds for half of the whole.
    void place_what_parts_overwrite() {
        std::unordered_map<NodeId, NodeId> part_over;
        std::unordered_map<NodeId, std::int64_t> elements;
        for_each_overwriting([&](const GroupStep& step, std::size_t load, const Group& group) {
            NodeId old = group.loads[load].node;
            const Placement* placed = placement_of(plan_.placements, step.store);
            if (!placed || !tape_.node(old).op->fill || of(old).read_by_op) return;
            part_over.emplace(old, step.store);
            elements[placed->whole] += element_count(tape_.node(old).type.shape);
        });
        for (auto [old, part] : part_over) {
            Placement place = plan_.placements.at(part);
            place.is_overwritten = true;
            if (2 * elements[place.whole] >= element_count(tape_.node(place.whole).type.shape))
                plan_.placements.emplace(old, place);
        }
    }

    /// Calls `visit(GroupStep&, std::size_t load, const Group&)` for the steps that may store over loads.
    template <class Visit>
    void for_each_overwriting(Visit visit) {
        for_each_turn(plan_.units, [&](std::span<const PlanUnit> units) {
            for (const PlanUnit& unit : units)
                if (unit.group >= 0) pair_stores_with_loads(unit, units, visit);
        });
    }

    /// Pairs the values that a group, alone or in a series of units, stores with those it may write them over.
    template <class Visit>
    void pair_stores_with_loads(const PlanUnit& unit, std::span<const PlanUnit> units, Visit visit) {
        Group& group = group_of(unit);
        std::int32_t position = static_cast<std::int32_t>(&unit - plan_.units.data());
        std::vector<std::size_t> last_step(group.loads.size(), 0);
        for (std::size_t i = 0; i < group.steps.size(); ++i)
            for (OperandIndex operand : group.steps[i].operands)
                if (static_cast<std::size_t>(operand) < last_step.size())
                    last_step[static_cast<std::size_t>(operand)] = i;
        for (const GroupFold& fold : group.folds) // folds run after all steps
            if (static_cast<std::size_t>(fold.operand) < last_step.size())
                last_step[static_cast<std::size_t>(fold.operand)] = group.steps.size();
        std::vector<std::size_t> free;
        for (std::size_t i = 0; i < group.loads.size(); ++i) {
            const GroupLoad& load = group.loads[i];
            bool dies =
                load.in_place && concerns(load.node) && of(load.node).dying && of(load.node).last_unit == position;
            bool seen_elsewhere = std::ranges::count(group.loads, load.node, &GroupLoad::node) > 1;
            const Placement* placed = placement_of(plan_.placements, load.node);
            bool has_own_memory = !placed || placed->is_overwritten;
            bool is_free = load.of_state || (dies && has_own_memory && !seen_elsewhere &&
                                             !is_read_across_parts(load.node, units));
            if (is_free) free.push_back(i);
        }
        std::ranges::stable_partition(free, [&](std::size_t i) { return group.loads[i].of_state; });
        for (std::size_t i = 0; i < group.steps.size(); ++i) {
            if (group.steps[i].store < 0 || group.steps[i].in_rows) continue;
            auto found = std::ranges::find_if(free, [&](std::size_t load) { return last_step[load] <= i; });
            if (found == free.end()) continue;
            visit(group.steps[i], *found, group);
            free.erase(found);
        }
    }

    FusionPlan& plan_;
    const Tape& tape_;
    NodeId first_, last_;
    std::vector<Facts> facts_;
};

} // namespace

void plan_reuse(FusionPlan& plan, const Tape& tape, std::span<const NodeId> requested,
                std::span<const NodeId> expendable) {
    Reuse(plan, tape, requested, expendable).run();
}

} // namespace cotape

#include <cotape/core/fusion_plan.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <ranges>
#include <tuple>
#include <unordered_map>

#include <cotape/core/group_steps.hpp>
#include <cotape/core/long_sums.hpp>
#include <cotape/core/pushed_slices.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

class Planner {
  public:
    Planner(const Tape& tape, std::span<const NodeId> needed, std::span<const NodeId> requested)
        : tape_(tape), needed_(needed), facts_(static_cast<std::size_t>(needed.back()) + 1) {
        for (NodeId id : needed_) {
            of(id).needed = true;
            of(id).elementwise = fits_a_step(node(id));
            of(id).seen_through = node(id).op->view != nullptr;
            if (!of(id).elementwise)
                for (NodeId input : node(id).inputs) of(input).seen_through = false;
        }
        for (NodeId id : requested) {
            if (id > needed_.back()) continue;
            of(id).requested = of(id).is_asked_for = of(id).kept = of(id).stored = true;
            of(id).seen_through = false;
            for (NodeId shown = id; node(shown).op->kind == OpKind::view || node(shown).op->view;)
                of(shown = node(shown).inputs[0]).is_asked_for = true;
        }
        for (NodeId id : parts_of_long_sums(tape, needed)) of(id).kept = of(id).stored = true;
        push_slices();
    }

    FusionPlan plan() {
        mark_what_memory_holds();
        assign_stages();
        delay_folds();
        assign_stages();
        sink_to_first_readers();
        find_values_to_store();
        plan_.placements = find_placements(
            tape_, needed_, [&](NodeId id) { return inputs_of(id); }, [&](NodeId id) { return writing_of(id); });
        gather_roots();
        for (std::size_t group = 0; group < plan_.groups.size(); ++group) find_steps_of(group);
        order_units();
        return std::move(plan_);
    }

  private:
    /// What the planner knows of a node.
    struct Facts {
        bool needed = false;
        bool requested = false;
        /// Can be a step of a group.
        bool elementwise = false;
        /// Its value is put into memory: always so but for elementwise nodes that only their own group reads.
        bool stored = false;
        /// Requested itself, or the memory that a requested view shows.
        bool is_asked_for = false;
        /// Requested, or a part of a long sum: stored whoever reads it.
        bool kept = false;
        /// A slice that is computed from slices.
        bool pushed = false;
        /// A later group over the same space reads it.
        bool crosses = false;
        /// Only steps read it, which take it from where its input is in memory.
        bool seen_through = false;
        std::int32_t stage = 0;
        std::int32_t least_stage = 0;
        /// What computing it costs, starting from values in memory, and the one such value of full size, or several.
        int cost = 0;
        NodeId source = none;
        std::int32_t group = -1;
    };
    static constexpr NodeId none = -1, several = -2;

    Facts& of(NodeId id) { return facts_[static_cast<std::size_t>(id)]; }
    const Node& node(NodeId id) const { return tape_.node(id); }
    bool is_needed(NodeId id) { return of(id).needed; }
    /// Whether it is there as soon as its input is.
    bool is_view(NodeId id) { return node(id).op->kind == OpKind::view || of(id).seen_through; }
    bool is_elementwise(NodeId id) { return of(id).elementwise; }

    /// Elementwise, or rowwise along a last axis that fits into a tile, with a kernel for tiles and few inputs, all of
    /// its output's element type.
    bool fits_a_step(const Node& candidate) const {
        const Shape& shape = candidate.type.shape;
        bool elementwise = candidate.op->kind == OpKind::elementwise && tile_kernel(candidate);
        bool rowwise = candidate.op->kind == OpKind::rowwise && row_kernel(candidate) && shape.back() <= longest_tile &&
                       candidate.attributes.integer("axis") == static_cast<std::int64_t>(shape.size()) - 1;
        return (elementwise || rowwise) && candidate.inputs.size() <= most_step_operands &&
               std::ranges::all_of(candidate.inputs,
                                   [&](NodeId input) { return node(input).type.dtype == candidate.type.dtype; });
    }

    /// Slices that are computed from slices become elementwise nodes; what they see is needed no more.
    void push_slices() {
        pushed_ = find_pushed_slices(tape_, needed_, slice_choices_);
        if (pushed_.empty()) return;
        for (const auto& [id, slice] : pushed_)
            of(id).elementwise = of(id).pushed = true, of(id).cost = slice.cost, of(id).seen_through = false;
        std::vector<bool> read(facts_.size());
        for (NodeId id : std::views::reverse(needed_)) {
            of(id).needed = of(id).requested || read[static_cast<std::size_t>(id)];
            if (!of(id).needed) continue;
            still_needed_.push_back(id);
            for (NodeId input : inputs_of(id)) read[static_cast<std::size_t>(input)] = true;
        }
        std::ranges::reverse(still_needed_);
        needed_ = still_needed_;
    }

    /// What a node is computed from.
    std::span<const NodeId> inputs_of(NodeId id) const {
        if (!facts_[static_cast<std::size_t>(id)].pushed) return {node(id).inputs.data(), node(id).inputs.size()};
        const auto& leaves = pushed_.at(id).leaves;
        return {leaves.data(), leaves.size()};
    }

    /// An input that can be computed in the same group as `user`, an elementwise node or a fold.
    bool joins(NodeId input, const Type& space) {
        return is_needed(input) && is_elementwise(input) && node(input).type == space;
    }

    const Type& space_of(NodeId id) { return is_fold(node(id)) ? node(node(id).inputs[0]).type : node(id).type; }

    /// The first stage in which a value can be read from memory.
    std::int32_t available(NodeId id) {
        if (!is_needed(id) || node(id).op->kind == OpKind::source) return 0;
        if (is_view(id)) return of(id).stage;
        return of(id).stage + 1;
    }

    void assign_stages() {
        for (NodeId id : needed_) {
            std::int32_t stage = of(id).least_stage;
            for (NodeId input : inputs_of(id))
                stage = std::max(stage, fuses_with(id, input) ? of(input).stage : available(input));
            of(id).stage = stage;
        }
    }

    /// Moves groups of nothing but folds to a later stage that has a group over the same space anyway, where that
    /// delays nothing in the end: one pass over memory less.
    void delay_folds() {
        std::int32_t last_stage = 0;
        for (NodeId id : needed_) last_stage = std::max(last_stage, of(id).stage);
        std::vector<std::int32_t> latest(facts_.size(), last_stage);
        for (NodeId id : std::views::reverse(needed_)) {
            for (NodeId input : inputs_of(id)) {
                bool together = fuses_with(id, input) || (is_needed(input) && is_view(input));
                std::int32_t& bound = latest[static_cast<std::size_t>(input)];
                bound = std::min(bound, latest[static_cast<std::size_t>(id)] - (together ? 0 : 1));
            }
        }
        struct Folds {
            const Type* space;
            std::int32_t stage;
            std::int32_t latest;
            std::vector<NodeId> nodes;
        };
        std::vector<Folds> groups;
        std::unordered_map<std::int32_t, std::vector<std::size_t>> groups_of_stage;
        for (NodeId id : needed_) {
            if (!is_fold(node(id))) continue;
            std::vector<std::size_t>& candidates = groups_of_stage[of(id).stage];
            auto found =
                std::ranges::find_if(candidates, [&](std::size_t i) { return *groups[i].space == space_of(id); });
            if (found == candidates.end()) {
                found = candidates.insert(found, groups.size());
                groups.push_back({&space_of(id), of(id).stage, last_stage, {}});
            }
            Folds& group = groups[*found];
            group.latest = std::min(group.latest, latest[static_cast<std::size_t>(id)]);
            group.nodes.push_back(id);
        }
        for (NodeId id : needed_) // a group that stores values reads its inputs anyway: its folds are best left there
            if (auto found = groups_of_stage.find(of(id).stage);
                is_elementwise(id) && of(id).stored && found != groups_of_stage.end())
                for (std::size_t i : found->second)
                    if (*groups[i].space == node(id).type) groups[i].latest = groups[i].stage;
        std::ranges::sort(groups, std::ranges::greater(), &Folds::stage);
        for (Folds& group : groups) {
            const Folds* later = nullptr;
            for (const Folds& other : groups)
                if (other.stage > group.stage && other.stage <= group.latest && *other.space == *group.space)
                    later = &other;
            if (!later) continue;
            group.stage = later->stage;
            for (NodeId id : group.nodes) of(id).least_stage = later->stage;
        }
    }

    bool fuses_with(NodeId user, NodeId input) {
        return (is_elementwise(user) || is_fold(node(user))) && !of(user).pushed && joins(input, space_of(user));
    }

    /// What is read from memory by anyone is stored.
    void mark_what_memory_holds() {
        for (NodeId id : needed_) {
            if (!is_elementwise(id)) of(id).stored = true;
            for (NodeId input : inputs_of(id))
                if (is_needed(input) && !fuses_with(id, input)) of(input).stored = true;
        }
    }

    /// Moves the other elementwise nodes to the first stage that reads them, and marks those that later ones read too.
    void sink_to_first_readers() {
        std::vector<std::int32_t> first_reader(facts_.size(), std::numeric_limits<std::int32_t>::max());
        for (NodeId id : std::views::reverse(needed_)) {
            Facts& facts = of(id);
            if (is_elementwise(id) && !facts.stored) facts.stage = first_reader[static_cast<std::size_t>(id)];
            for (NodeId input : inputs_of(id)) {
                std::int32_t& first = first_reader[static_cast<std::size_t>(input)];
                first = std::min(first, facts.stage);
            }
        }
        for (NodeId id : needed_)
            for (NodeId input : inputs_of(id))
                if (is_needed(input) && fuses_with(id, input) && of(input).stage < of(id).stage)
                    of(input).crosses = true;
    }

    void find_values_to_store() {
        for (NodeId id : needed_) {
            if (!is_elementwise(id)) continue;
            Facts& facts = of(id);
            if (!facts.pushed) facts.cost = node(id).op->cost;
            for (NodeId input : inputs_of(id)) {
                bool from_memory = !joins(input, node(id).type) || of(input).stored;
                if (!from_memory) facts.cost = std::min(facts.cost + of(input).cost, 2 * cheap_cost);
                NodeId source = from_memory ? input : of(input).source;
                bool full_size =
                    source >= 0 && element_count(node(source).type.shape) == element_count(node(id).type.shape);
                if (source == several)
                    facts.source = several;
                else if (full_size && facts.source != source)
                    facts.source = facts.source == none ? source : several;
            }
            if (facts.crosses && (facts.cost > cheap_cost || facts.source == several)) facts.stored = true;
        }
    }

    /// What is asked for has memory of its own, lest it keep that of others.
    Writing writing_of(NodeId id) {
        if (!is_needed(id) || of(id).is_asked_for) return Writing::elsewhere;
        if (is_elementwise(id)) return of(id).stored ? Writing::in_rows : Writing::elsewhere;
        bool anywhere = node(id).op->placement || node(id).op->fill || is_fold(node(id));
        return anywhere ? Writing::in_one_piece : Writing::elsewhere;
    }

    /// Groups begin as the stored values and the folds of one stage and space.
    void gather_roots() {
        std::unordered_map<std::uint64_t, std::vector<std::int32_t>> groups_of_key;
        for (NodeId id : needed_) {
            const Node& current = node(id);
            if (!(is_elementwise(id) && of(id).stored) && !is_fold(current)) continue;
            const Type& space = space_of(id);
            std::uint64_t key = static_cast<std::uint64_t>(of(id).stage);
            for (std::int64_t extent : space.shape) key = mix_hash(key, static_cast<std::uint64_t>(extent));
            std::vector<std::int32_t>& candidates = groups_of_key[key];
            auto found = std::ranges::find_if(candidates, [&](std::int32_t group) {
                return plan_.groups[static_cast<std::size_t>(group)].space == space &&
                       stages_[static_cast<std::size_t>(group)] == of(id).stage;
            });
            if (found == candidates.end()) {
                candidates.push_back(static_cast<std::int32_t>(plan_.groups.size()));
                found = candidates.end() - 1;
                plan_.groups.emplace_back().space = space;
                roots_.emplace_back();
                stages_.push_back(of(id).stage);
            }
            of(id).group = *found;
            roots_[static_cast<std::size_t>(*found)].push_back(id);
        }
    }

    void find_steps_of(std::size_t index) {
        Group& group = plan_.groups[index];
        GroupChoices choices{
            .is_step =
                [&](NodeId id) {
                    return joins(id, group.space) &&
                           (!of(id).stored || of(id).group == static_cast<std::int32_t>(index));
                },
            .is_stored = [&](NodeId id) { return is_needed(id) && of(id).stored; },
            .is_in_rows =
                [&](NodeId id) {
                    const Placement* placed = placement_of(plan_.placements, id);
                    return placed && !placed->in_one_piece;
                },
            .is_seen_through = [&](NodeId id) { return is_needed(id) && of(id).seen_through; },
            .pushed = [&](NodeId id) { return of(id).pushed ? &pushed_.at(id) : nullptr; },
            .is_computed_in_slices =
                [&](NodeId input, NodeId user) { return computed_in_slices(tape_, input, user, slice_choices_); },
        };
        find_steps(group, tape_, roots_[index], choices);
    }

    static int rank_of(OpKind kind) { return kind == OpKind::source ? 0 : kind == OpKind::view ? 1 : 2; }

    void order_units() {
        struct Key {
            std::int32_t stage;
            int rank; // sources first, then views of what is there, then all that computes
            NodeId first;
        };
        std::vector<std::pair<Key, PlanUnit>> ordered;
        for (NodeId id : needed_)
            if (!is_elementwise(id) && !is_fold(node(id)) && !of(id).seen_through)
                ordered.push_back({{of(id).stage, rank_of(node(id).op->kind), id}, {.node = id, .dying = {}}});
        for (std::size_t group = 0; group < plan_.groups.size(); ++group)
            ordered.push_back({{stages_[group], 2, roots_[group].front()},
                               {.group = static_cast<std::int32_t>(group), .dying = {}}});
        std::ranges::sort(ordered, [](const auto& a, const auto& b) {
            return std::tie(a.first.stage, a.first.rank, a.first.first) <
                   std::tie(b.first.stage, b.first.rank, b.first.first);
        });
        for (auto& [key, unit] : ordered) plan_.units.push_back(std::move(unit));
    }

    const Tape& tape_;
    std::span<const NodeId> needed_;
    /// Of `needed_`, what is needed where slices are pushed.
    std::vector<NodeId> still_needed_;
    std::vector<Facts> facts_;
    SliceChoices slice_choices_{
        .is_step = [this](NodeId id) { return is_elementwise(id); },
        .is_kept = [this](NodeId id) { return of(id).kept; },
        .is_seen_through = [this](NodeId id) { return of(id).seen_through; },
    };
    PushedSlices pushed_;
    FusionPlan plan_;
    std::vector<std::vector<NodeId>> roots_;
    std::vector<std::int32_t> stages_;
};

} // namespace

FusionPlan make_fusion_plan(const Tape& tape, std::span<const NodeId> needed, std::span<const NodeId> requested) {
    return Planner(tape, needed, requested).plan();
}

} // namespace cotape

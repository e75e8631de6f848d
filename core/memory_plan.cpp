#include <cotape/core/memory_plan.hpp>

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/buffer_reuse.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/series_plan.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

constexpr std::size_t most_values_listed = 12;

std::size_t bytes_of(const Type& type) {
    return buffer_size(static_cast<std::size_t>(element_count(type.shape)) * size_of(type.dtype));
}

std::string readable(std::size_t bytes) {
    if (bytes < 1024) return fmt::format("{} B", bytes);
    if (bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
    return fmt::format("{:.2f} MiB", static_cast<double>(bytes) / (1024 * 1024));
}

/// Follows an evaluation step by step, with the buffers that are held and the values that lie in them.
class Walk {
  public:
    Walk(const Tape& tape, const Tape::LatestEvaluation& evaluation)
        : tape_(tape), plan_(*evaluation.plan), recycles_(evaluation.recycles) {
        find_what_was_there(evaluation.tape_size);
        result_.bytes_before = held_;
        for_each_turn(plan_.units, [&](std::span<const PlanUnit> units) { take(units); });
    }
    MemoryPlan result() && { return std::move(result_); }

  private:
    void find_what_was_there(std::size_t tape_size) {
        std::vector<bool> written(tape_size);
        std::vector<NodeId> overwritten;
        for (const PlanUnit& unit : plan_.units) {
            for_each_write(plan_, unit,
                           [&](NodeId id, const GroupStep*) { written[static_cast<std::size_t>(id)] = true; });
            if (unit.group < 0) continue;
            for (const GroupLoad& load : plan_.groups[static_cast<std::size_t>(unit.group)].loads)
                if (load.of_state && tape_.computed(load.node).empty()) overwritten.push_back(load.node);
        }
        std::map<std::uintptr_t, NodeId> first_in; // of the values that lie in one buffer
        for (NodeId id = 0; id < static_cast<NodeId>(tape_size); ++id) {
            const Tensor& value = tape_.computed(id);
            if (value.empty() || written[static_cast<std::size_t>(id)]) continue;
            NodeId first = first_in.emplace(value.identity(), id).first->second;
            if (first == id)
                hold(id);
            else
                ++values_in_[buffer_of_[id] = first];
        }
        for (NodeId id : overwritten) hold(id);
    }

    /// A buffer for the value of `id`: a new one, or that of the value it is placed in.
    void hold(NodeId id) {
        if (buffer_of_.contains(id)) return;
        if (const Placement* placed = placement_of(plan_.placements, id, recycles_)) {
            hold(placed->whole);
            share(id, placed->whole);
            return;
        }
        buffer_of_[id] = id;
        values_in_[id] = 1;
        held_ += bytes_of(tape_.node(id).type);
    }

    void share(NodeId id, NodeId other) { ++values_in_[buffer_of_[id] = buffer_of_[other]]; }

    /// Whether it lies in its input's memory, and nothing is copied.
    bool is_view(const Node& node) const {
        if (node.op->kind == OpKind::view) return true;
        return node.op->view && is_dense(view_of(tape_, node), node.type.shape);
    }

    /// Whether what `reader` puts together from others has been written there already.
    bool is_placed(NodeId id, const PlanUnit& reader) const {
        const Placement* placed = placement_of(plan_.placements, id);
        return placed && reader.group < 0 && placed->whole == reader.node;
    }

    /// Lets the value of `id` go, and its buffer, where no other lies in it.
    std::size_t release(NodeId id) {
        auto found = buffer_of_.find(id);
        if (found == buffer_of_.end()) return 0;
        NodeId buffer = found->second;
        buffer_of_.erase(found);
        if (--values_in_[buffer] > 0) return 0;
        values_in_.erase(buffer);
        std::size_t bytes = bytes_of(tape_.node(buffer).type);
        held_ -= bytes;
        return bytes;
    }

    /// A series has memory for all that it writes before its first group runs.
    void take(std::span<const PlanUnit> units) {
        std::size_t first = result_.steps.size();
        for (const PlanUnit& unit : units) {
            result_.steps.push_back(step_of(unit));
            if (recycles_ && &unit != &units.back())
                for (NodeId id : unit.dying) release(id);
        }
        for (std::size_t i = first; i < result_.steps.size(); ++i) result_.steps[i].bytes = held_;
        if (held_ > result_.peak_bytes || first == 0) {
            result_.peak_bytes = held_;
            result_.peak_step = first;
            list_values();
        }
        if (recycles_)
            for (NodeId id : units.back().dying) result_.steps.back().freed += release(id);
    }

    /// What a unit reads and writes, with what that adds to what is held.
    MemoryPlan::Step step_of(const PlanUnit& unit) {
        MemoryPlan::Step step{};
        std::set<NodeId> read;
        bool shares = unit.group < 0 && is_view(tape_.node(unit.node));
        std::size_t placed = 0;
        for_each_read(plan_, unit, tape_, [&](NodeId id) {
            if (shares || !read.insert(id).second) return;
            (is_placed(id, unit) ? placed : step.read) += bytes_of(tape_.node(id).type);
        });
        std::size_t count = 0;
        for_each_write(plan_, unit, [&](NodeId id, const GroupStep* stored) {
            const Node& node = tape_.node(id);
            if (count++ == 0) {
                step.writes = node.op->name;
                step.place = place_of(tape_, node);
            }
            if (shares) return share(id, node.inputs[0]);
            step.written += bytes_of(node.type) - std::min(placed, bytes_of(node.type));
            if (recycles_ && stored && stored->overwrites >= 0) {
                NodeId old = plan_.groups[static_cast<std::size_t>(unit.group)]
                                 .loads[static_cast<std::size_t>(stored->overwrites)].node;
                if (is_overwritten_in_place(plan_.placements, old)) {
                    step.in_place += bytes_of(node.type);
                    release(old);
                } else if (tape_.computed(old).empty() && values_in_[buffer_of_[old]] == 1) {
                    step.in_place += release(old);
                }
            }
            hold(id);
        });
        if (count > 1) step.writes += fmt::format(" and {} more", count - 1);
        return step;
    }

    void list_values() {
        result_.alive_at_peak.clear();
        for (const auto& [id, values] : values_in_) {
            const Node& node = tape_.node(id);
            std::string description = fmt::format("{} {}, {}", node.op->name, cotape::to_string(node.type),
                                                  place_of(tape_, node));
            if (node.derivative_of >= 0)
                description += fmt::format(", in the derivative of {}", tape_.node(node.derivative_of).op->name);
            result_.alive_at_peak.push_back({id, bytes_of(node.type), std::move(description)});
        }
        std::ranges::stable_sort(result_.alive_at_peak, std::ranges::greater(), &MemoryPlan::Value::bytes);
    }

    const Tape& tape_;
    const FusionPlan& plan_;
    bool recycles_;
    MemoryPlan result_;
    std::size_t held_ = 0;
    /// Buffers go by the first value that lies in them.
    std::map<NodeId, NodeId> buffer_of_;
    std::map<NodeId, std::size_t> values_in_;
};

} // namespace

MemoryPlan Tape::memory_plan() const {
    check_thread();
    if (!latest_evaluation_.plan) throw TapeError("memory_plan: nothing has been evaluated on this tape");
    return Walk(*this, latest_evaluation_).result();
}

std::string MemoryPlan::to_string() const {
    std::string text = fmt::format("peak {} in step {} of {}; {} were there before the first\n", readable(peak_bytes),
                                   peak_step + 1, steps.size(), readable(bytes_before));
    text += "alive at the peak:\n";
    std::size_t listed = std::min(alive_at_peak.size(), most_values_listed), rest = 0;
    for (std::size_t i = 0; i < alive_at_peak.size(); ++i)
        if (i < listed)
            text += fmt::format("{:>12}  {}\n", readable(alive_at_peak[i].bytes), alive_at_peak[i].description);
        else
            rest += alive_at_peak[i].bytes;
    if (alive_at_peak.size() > listed)
        text += fmt::format("{:>12}  in {} more\n", readable(rest), alive_at_peak.size() - listed);
    constexpr auto* row = "{:>5} {:>12} {:>12} {:>12} {:>12} {:>12}  {}\n";
    text += fmt::format(row, "step", "held", "read", "written", "in place", "freed", "what");
    for (std::size_t i = 0; i < steps.size(); ++i)
        text += fmt::format(row, i + 1, readable(steps[i].bytes), readable(steps[i].read), readable(steps[i].written),
                            readable(steps[i].in_place), readable(steps[i].freed),
                            fmt::format("{}, {}", steps[i].writes, steps[i].place));
    return text;
}

} // namespace cotape

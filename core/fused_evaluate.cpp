#include <cotape/core/evaluation.hpp>

#include <algorithm>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <cotape/core/buffer_reuse.hpp>
#include <cotape/core/series_plan.hpp>
#include <cotape/core/series_run.hpp>

namespace cotape {
namespace {

/// What a plan depends on: which nodes are wanted, and how each of them is computed from what.
struct Structure {
    std::vector<NodeId> needed;
    std::vector<NodeId> requested;
    std::vector<NodeId> expendable;
    std::vector<std::uint64_t> signatures;
    std::uint64_t hash = 0;

    explicit Structure(const Evaluation& evaluation)
        : needed(evaluation.needed.begin(), evaluation.needed.end()),
          requested(evaluation.requested.begin(), evaluation.requested.end()),
          expendable(evaluation.expendable.begin(), evaluation.expendable.end()) {
        const Tape& tape = evaluation.tape;
        signatures.resize(needed.size());
        for (std::size_t i = 0; i < needed.size(); ++i) {
            const Node& node = tape.node(needed[i]);
            std::uint64_t signature = node.signature;
            for (NodeId input : node.inputs) // the type of what is there already is not in any other signature
                if (tape.is_computed(input)) signature = mix_hash(signature, tape.node(input).signature);
            signatures[i] = signature;
            hash = mix_hash(hash, signature);
        }
    }
    bool operator==(const Structure& other) const {
        return hash == other.hash && needed == other.needed && requested == other.requested &&
               expendable == other.expendable && signatures == other.signatures;
    }
};

/// The plans made so far, the latest used first: a cache for all tapes of the process, as every step of a training
/// makes a new tape of the same structure.
class Plans {
  public:
    std::shared_ptr<const FusionPlan> find(const Structure& structure) {
        std::lock_guard lock(mutex_);
        for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
            if (!(entry->structure == structure)) continue;
            entries_.splice(entries_.begin(), entries_, entry);
            return entry->plan;
        }
        return nullptr;
    }
    void insert(Structure structure, std::shared_ptr<const FusionPlan> plan) {
        if (structure.needed.size() > most_nodes / 4) return;
        std::lock_guard lock(mutex_);
        nodes_ += structure.needed.size();
        entries_.push_front({std::move(structure), std::move(plan)});
        while (entries_.size() > most_plans || nodes_ > most_nodes) {
            nodes_ -= entries_.back().structure.needed.size();
            entries_.pop_back();
        }
    }

  private:
    static constexpr std::size_t most_plans = 64, most_nodes = 1 << 20;
    struct Entry {
        Structure structure;
        std::shared_ptr<const FusionPlan> plan;
    };
    std::mutex mutex_;
    std::list<Entry> entries_;
    std::size_t nodes_ = 0;
};

Plans& plans() {
    static Plans& instance = *new Plans;
    return instance;
}

/// Copies the groups to memory in the order in which they run: each step reads the plan from end to end, and finds it
/// in no cache.
void lay_out(FusionPlan& plan) {
    std::vector<Group> groups;
    groups.reserve(plan.groups.size());
    for (PlanUnit& unit : plan.units) {
        if (unit.group < 0) continue;
        groups.push_back(plan.groups[static_cast<std::size_t>(unit.group)]);
        unit.group = static_cast<std::int32_t>(groups.size()) - 1;
    }
    plan.groups = std::move(groups);
}

std::shared_ptr<const FusionPlan> plan_for(const Evaluation& evaluation) {
    Structure structure(evaluation);
    std::shared_ptr<const FusionPlan> plan = plans().find(structure);
    if (!plan) {
        auto made =
            std::make_shared<FusionPlan>(make_fusion_plan(evaluation.tape, evaluation.needed, evaluation.requested));
        plan_reuse(*made, evaluation.tape, evaluation.requested, evaluation.expendable);
        lay_out(*made);
        plan = std::move(made);
        plans().insert(std::move(structure), plan);
    }
    return plan;
}

} // namespace

void evaluate_fused(const Evaluation& evaluation) {
    Tape& tape = evaluation.tape;
    bool recycles = evaluation.keep == Keep::requested;
    std::shared_ptr<const FusionPlan> plan = plan_for(evaluation);
    ResultMemory memory(tape, plan->placements, recycles);
    for_each_turn(plan->units, [&](std::span<const PlanUnit> units) {
        const PlanUnit& last = units.back();
        if (last.group >= 0)
            run_series(tape, *plan, units, memory, recycles);
        else if (tape.node(last.node).op->placement)
            tape.set_computed(last.node, memory.complete(last.node));
        else
            tape.set_computed(last.node,
                              compute_node(tape, tape.node(last.node), [&] { return memory.of(last.node); }));
        if (recycles)
            for (NodeId id : last.dying) tape.set_computed(id, Tensor());
    });
    tape.set_latest_evaluation({std::move(plan), recycles, tape.size()});
}

} // namespace cotape

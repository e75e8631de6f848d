#include <cotape/core/fused_evaluate.hpp>

#include <algorithm>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <cotape/core/group_run.hpp>

namespace cotape {
namespace {

/// What a plan depends on: which nodes are wanted, and how each of them is computed from what.
struct Structure {
    std::vector<NodeId> needed;
    std::vector<NodeId> requested;
    std::vector<std::uint64_t> signatures;
    std::uint64_t hash = 0;

    Structure(const Tape& tape, std::span<const NodeId> needed_nodes, std::span<const Var> vars)
        : needed(needed_nodes.begin(), needed_nodes.end()) {
        for (Var var : vars) requested.push_back(var.id());
        signatures.reserve(needed.size());
        for (NodeId id : needed) {
            const Node& node = tape.node(id);
            std::uint64_t signature = node.signature;
            for (NodeId input : node.inputs) // the type of what is there already is not in any other signature
                if (!tape.computed(input).empty()) signature = mix_hash(signature, tape.node(input).signature);
            signatures.push_back(signature);
            hash = mix_hash(hash, signature);
        }
    }
    bool operator==(const Structure& other) const {
        return hash == other.hash && needed == other.needed && requested == other.requested &&
               signatures == other.signatures;
    }
};

/// The plans made so far, the latest used first: a cache for all tapes of the process, as every step of a training makes
/// a new tape of the same structure.
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
    static constexpr std::size_t most_plans = 64, most_nodes = 1 << 18;
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

std::shared_ptr<const FusionPlan> plan_for(const Tape& tape, std::span<const NodeId> needed, std::span<const Var> vars) {
    Structure structure(tape, needed, vars);
    std::shared_ptr<const FusionPlan> plan = plans().find(structure);
    if (!plan) {
        plan = std::make_shared<const FusionPlan>(make_fusion_plan(tape, needed, structure.requested));
        plans().insert(std::move(structure), plan);
    }
    return plan;
}

} // namespace

void evaluate_fused(Tape& tape, std::span<const NodeId> needed, std::span<const Var> vars, Keep keep) {
    std::shared_ptr<const FusionPlan> plan = plan_for(tape, needed, vars);
    for (const PlanUnit& unit : plan->units) {
        if (unit.group >= 0)
            run_group(tape, plan->groups[static_cast<std::size_t>(unit.group)]);
        else
            tape.set_computed(unit.node, compute_node(tape, tape.node(unit.node)));
        if (keep == Keep::requested)
            for (NodeId id : unit.dying) tape.set_computed(id, Tensor());
    }
}

} // namespace cotape

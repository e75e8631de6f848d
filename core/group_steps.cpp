#include <cotape/core/group_steps.hpp>

#include <algorithm>
#include <unordered_map>

#include <cotape/core/chain_kernels.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

/// What a fold takes for an element, in additions.
constexpr int fold_cost = 4;

class Builder {
  public:
    Builder(Group& group, const Tape& tape, std::span<const NodeId> roots, const GroupChoices& choices)
        : group_(group), tape_(tape), choices_(choices) {
        for (NodeId root : roots) {
            if (!is_fold(node(root))) continue;
            folds_.push_back(root);
            group_.cost += fold_cost;
            ++readers_[node(root).inputs[0]];
        }
        collect(roots);
        chain();
        assign_slots();
        for (NodeId fold : folds_)
            group_.folds.push_back({node(fold).op->fold, index_[node(fold).inputs[0]], fold,
                                    node(fold).attributes.integers("axes")});
        for (GroupFold& fold : group_.folds) {
            auto wider = std::ranges::find_if(group_.folds, [&](const GroupFold& other) {
                return other.kernel == fold.kernel->within && other.operand == fold.operand && other.axes == fold.axes;
            });
            if (wider != group_.folds.end()) fold.within = static_cast<std::int32_t>(wider - group_.folds.begin());
        }
    }

  private:
    /// A node, or several that are computed by one kernel: the last of them.
    struct Step {
        NodeId node;
        SmallVector<NodeId, 4> operands;
        SmallVector<Link, 8> links;
    };

    const Node& node(NodeId id) const { return tape_.node(id); }

    /// What a step reads: its inputs, but what would only be stretched over the space as it lies in memory.
    SmallVector<NodeId, 4> operands_of(NodeId id) const {
        SmallVector<NodeId, 4> operands(node(id).inputs.begin(), node(id).inputs.end());
        for (NodeId& operand : operands)
            if (node(operand).op->stretches && choices_.is_step(operand) && !choices_.is_stored(operand))
                operand = node(operand).inputs[0];
        return operands;
    }

    void collect(std::span<const NodeId> roots) {
        std::vector<NodeId> pending, nodes, loads;
        for (NodeId root : roots) pending.push_back(is_fold(node(root)) ? node(root).inputs[0] : root);
        while (!pending.empty()) {
            NodeId id = pending.back();
            pending.pop_back();
            if (!index_.emplace(id, 0).second) continue;
            if (!choices_.is_step(id)) {
                loads.push_back(id);
                continue;
            }
            nodes.push_back(id);
            group_.cost += node(id).op->cost;
            for (NodeId operand : operands_of(id)) {
                pending.push_back(operand);
                ++readers_[operand];
            }
        }
        std::ranges::sort(nodes);
        for (NodeId id : nodes) steps_.push_back({id, operands_of(id), {}});
        std::ranges::sort(loads);
        for (NodeId load : loads) {
            index_[load] = static_cast<OperandIndex>(group_.loads.size());
            group_.loads.push_back(load_of(load));
        }
    }

    GroupLoad load_of(NodeId id) const {
        const Shape& shape = node(id).type.shape;
        if (!choices_.is_seen_through(id))
            return {.node = id, .in_place = element_count(shape) == element_count(group_.space.shape), .shape = shape,
                    .view = {0, dense_strides(shape)}};
        NodeId input = node(id).inputs[0];
        const Type* types[] = {&node(input).type};
        return {.node = input, .in_place = false, .shape = shape,
                .view = node(id).op->view({*node(id).op, node(id).attributes, types})};
    }

    static Link link_of(Arithmetic arithmetic, bool reversed) {
        if (arithmetic == Arithmetic::add) return Link::add;
        if (arithmetic == Arithmetic::multiply) return Link::multiply;
        return reversed ? Link::subtract_from : Link::subtract;
    }

    /// Merges steps of arithmetic into the one step that reads their results.
    void chain() {
        std::unordered_map<NodeId, std::size_t> step_of;
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            Step& step = steps_[i];
            step_of[step.node] = i;
            Arithmetic arithmetic = node(step.node).op->arithmetic;
            if (arithmetic == Arithmetic::none) continue;
            for (std::size_t k = 0; k < 2 && step.links.empty(); ++k) {
                auto found = step_of.find(step.operands[k]);
                if (found == step_of.end() || choices_.is_stored(found->first) || readers_[found->first] > 1) continue;
                Step& earlier = steps_[found->second];
                if (earlier.links.empty() || earlier.links.size() == longest_chain) continue;
                earlier.operands.push_back(step.operands[1 - k]);
                earlier.links.push_back(link_of(arithmetic, k == 1));
                step = {step.node, earlier.operands, earlier.links};
                earlier.operands = {};
            }
            if (step.links.empty()) step.links.push_back(link_of(arithmetic, false));
        }
        std::erase_if(steps_, [](const Step& step) { return step.operands.empty(); });
    }

    /// Gives every step a slot of scratch, reused once its last reader within the group has run.
    void assign_slots() {
        std::unordered_map<NodeId, std::size_t> last_reader;
        for (std::size_t i = 0; i < steps_.size(); ++i)
            for (NodeId operand : steps_[i].operands) last_reader[operand] = i;
        for (NodeId fold : folds_) last_reader[node(fold).inputs[0]] = steps_.size(); // folds run after all steps
        std::vector<OperandIndex> free;
        OperandIndex next_store = static_cast<OperandIndex>(group_.loads.size());
        group_.stores = static_cast<std::int32_t>(std::ranges::count_if(steps_, [&](const Step& step) {
            return choices_.is_stored(step.node) && !choices_.is_in_rows(step.node);
        }));
        OperandIndex first_slot = next_store + group_.stores;
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            const auto& [id, operands, links] = steps_[i];
            GroupStep step{.kernel = links.size() > 1 ? chain_kernel(node(id).type.dtype, {links.data(), links.size()})
                                                      : tile_kernel(node(id)),
                           .row_kernel = row_kernel(node(id)), .operands = {}, .result = 0};
            for (NodeId operand : operands) step.operands.push_back(index_[operand]);
            if (choices_.is_stored(id)) step.store = id, step.in_rows = choices_.is_in_rows(id);
            if (step.store >= 0 && !step.in_rows) {
                step.result = next_store++;
            } else {
                if (free.empty()) free.push_back(first_slot + group_.slots++);
                step.result = free.back();
                free.pop_back();
            }
            index_[id] = step.result;
            if (step.in_rows) free.push_back(step.result); // nobody else reads it
            group_.steps.push_back(step);
            for (std::size_t k = 0; k < operands.size(); ++k) {
                bool repeated = std::find(operands.begin(), operands.begin() + k, operands[k]) != operands.begin() + k;
                if (step.operands[k] >= first_slot && last_reader[operands[k]] == i && !repeated)
                    free.push_back(step.operands[k]);
            }
        }
    }

    Group& group_;
    const Tape& tape_;
    const GroupChoices& choices_;
    std::vector<NodeId> folds_;
    std::vector<Step> steps_;
    /// How many operands of steps and folds are this value.
    std::unordered_map<NodeId, int> readers_;
    std::unordered_map<NodeId, OperandIndex> index_;
};

bool is_float32(const Node& node) { return node.type.dtype == Dtype::float32; }

} // namespace

bool is_fold(const Node& node) { return node.op->kind == OpKind::reduction && node.op->fold; }
TileKernel tile_kernel(const Node& node) { return is_float32(node) ? node.op->tile_float32 : node.op->tile_float64; }
RowKernel row_kernel(const Node& node) { return is_float32(node) ? node.op->row_float32 : node.op->row_float64; }

void find_steps(Group& group, const Tape& tape, std::span<const NodeId> roots, const GroupChoices& choices) {
    Builder(group, tape, roots, choices);
}

} // namespace cotape

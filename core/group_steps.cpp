#include <cotape/core/group_steps.hpp>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include <cotape/core/chain_kernels.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

/// What a fold takes for an element, and what reading or writing one takes that comes from a third-level cache, in
/// additions.
constexpr int fold_cost = 4, memory_cost = 4;

class Builder {
  public:
    Builder(Group& group, const Tape& tape, std::span<const NodeId> roots, const GroupChoices& choices)
        : group_(group), tape_(tape), choices_(choices) {
        collect(roots);
        chain();
        assign_slots();
        for (auto [fold, operand] : folds_)
            group_.folds.push_back(
                {node(fold).op->fold, values_[operand].place, fold, node(fold).attributes.integers("axes")});
        find_walks();
        for (const GroupLoad& load : group_.loads)
            if (element_count(load.shape) == element_count(group_.space.shape)) group_.cost += memory_cost;
        for (const GroupStep& step : group_.steps)
            if (step.store >= 0) group_.cost += memory_cost;
        for (const GroupLoad& load : group_.loads)
            if (!load.in_place)
                group_.patterns.emplace_back(load.shape, load.view, group_.space.shape, group_.space.dtype);
    }

  private:
    static constexpr std::int32_t none = -1;

    /// What the group loads or computes: a node, or what is seen of it through a window.
    struct Value {
        NodeId node;
        std::int32_t window;
        /// The node that it is or, through a window, the slice for the sake of which it is computed.
        NodeId owner;
        bool is_owner;
        /// Computed by a step; otherwise loaded.
        bool is_step;
        /// How many operands of steps and folds it is.
        int readers = 0;
        OperandIndex place = 0;
    };
    /// Of `values_`.
    using ValueIndex = std::size_t;

    /// A value, or several that are computed by one kernel: the last of them.
    struct Step {
        ValueIndex value;
        SmallVector<ValueIndex, 4> operands;
        SmallVector<Link, 8> links;
    };

    const Node& node(NodeId id) const { return tape_.node(id); }

    ValueIndex add(const Value& value) {
        auto [entry, is_new] = index_.try_emplace({value.owner, value.node, value.window}, values_.size());
        if (is_new) values_.push_back(value);
        return entry->second;
    }

    std::int32_t add(const Window& window) {
        auto found = std::ranges::find(windows_, window);
        if (found == windows_.end()) found = windows_.insert(found, window);
        return static_cast<std::int32_t>(found - windows_.begin());
    }

    ValueIndex whole(NodeId id) {
        bool is_step = choices_.is_step(id);
        const PushedSlice* slice = is_step ? choices_.pushed(id) : nullptr;
        return slice ? add({slice->base, add(slice->window), id, true, true}) : add({id, none, id, true, is_step});
    }

    /// An input of what is computed through a window.
    ValueIndex through_window(NodeId input, const Value& user) {
        if (const PushedSlice* slice = choices_.pushed(input)) {
            const Window& outer = windows_[static_cast<std::size_t>(user.window)];
            return add({slice->base, add(through(outer, slice->window)), user.owner, false, true});
        }
        return add({input, user.window, user.owner, false, choices_.is_computed_in_slices(input, user.node)});
    }

    bool is_stored(const Value& value) const { return value.is_owner && choices_.is_stored(value.owner); }
    bool is_in_rows(const Value& value) const { return value.is_owner && choices_.is_in_rows(value.owner); }

    /// What a step reads: its inputs, but what would only be stretched over the space as it lies in memory.
    SmallVector<ValueIndex, 4> operands_of(Value value) { // a copy: there may be more values in the end
        SmallVector<ValueIndex, 4> operands;
        for (NodeId input : node(value.node).inputs) {
            bool stretches = node(input).op->stretches;
            if (value.window == none) {
                stretches = stretches && choices_.is_step(input) && !choices_.is_stored(input);
                operands.push_back(whole(stretches ? node(input).inputs[0] : input));
            } else {
                stretches = stretches && choices_.is_computed_in_slices(input, value.node);
                operands.push_back(through_window(stretches ? node(input).inputs[0] : input, value));
            }
        }
        return operands;
    }

    void collect(std::span<const NodeId> roots) {
        std::vector<ValueIndex> pending, loads;
        std::vector<bool> found;
        auto reach = [&](ValueIndex index) {
            ++values_[index].readers;
            pending.push_back(index);
        };
        for (NodeId root : roots) {
            if (!is_fold(node(root))) {
                pending.push_back(whole(root));
                continue;
            }
            folds_.push_back({root, whole(node(root).inputs[0])});
            group_.cost += fold_cost;
            reach(folds_.back().operand);
        }
        while (!pending.empty()) {
            ValueIndex index = pending.back();
            pending.pop_back();
            found.resize(std::max(found.size(), index + 1));
            if (found[index]) continue;
            found[index] = true;
            if (!values_[index].is_step) {
                loads.push_back(index);
                continue;
            }
            group_.cost += node(values_[index].node).op->cost;
            steps_.push_back({index, operands_of(values_[index]), {}});
            for (ValueIndex operand : steps_.back().operands) reach(operand);
        }
        auto order = [&](ValueIndex index) {
            const Value& value = values_[index];
            return std::tuple(value.owner, value.node, value.window);
        };
        std::ranges::sort(steps_, {}, [&](const Step& step) { return order(step.value); });
        std::ranges::sort(loads, {}, order);
        for (ValueIndex load : loads) {
            values_[load].place = static_cast<OperandIndex>(group_.loads.size());
            group_.loads.push_back(load_of(values_[load]));
        }
    }

    GroupLoad load_of(const Value& value) const {
        const Shape& shape = node(value.node).type.shape;
        bool is_seen_through = choices_.is_seen_through(value.node);
        GroupLoad load{.node = value.node, .in_place = false, .shape = shape, .view = {0, dense_strides(shape)}};
        if (is_seen_through) {
            load.node = node(value.node).inputs[0];
            load.view = view_of(tape_, node(value.node));
        }
        if (value.window != none) {
            const Window& window = windows_[static_cast<std::size_t>(value.window)];
            load.view = through(window, shape, load.view);
            load.shape = window.space;
        } else {
            load.in_place = !is_seen_through && element_count(shape) == element_count(group_.space.shape);
        }
        return load;
    }

    static Link link_of(Arithmetic arithmetic, bool reversed) {
        if (arithmetic == Arithmetic::add) return Link::add;
        if (arithmetic == Arithmetic::multiply) return Link::multiply;
        return reversed ? Link::subtract_from : Link::subtract;
    }

    /// Merges steps of arithmetic into the one step that reads their results.
    void chain() {
        std::unordered_map<ValueIndex, std::size_t> step_of;
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            Step& step = steps_[i];
            step_of[step.value] = i;
            Arithmetic arithmetic = op_of(step).arithmetic;
            if (arithmetic == Arithmetic::none) continue;
            for (std::size_t k = 0; k < 2 && step.links.empty(); ++k) {
                auto found = step_of.find(step.operands[k]);
                if (found == step_of.end()) continue;
                const Value& value = values_[found->first];
                Step& earlier = steps_[found->second];
                if (is_stored(value) || value.readers > 1 || earlier.links.empty() ||
                    earlier.links.size() == longest_chain)
                    continue;
                earlier.operands.push_back(step.operands[1 - k]);
                earlier.links.push_back(link_of(arithmetic, k == 1));
                step = {step.value, earlier.operands, earlier.links};
                earlier.operands = {};
            }
            if (step.links.empty()) step.links.push_back(link_of(arithmetic, false));
        }
        std::erase_if(steps_, [](const Step& step) { return step.operands.empty(); });
    }

    const Op& op_of(const Step& step) const { return *node(values_[step.value].node).op; }

    /// Gives every step a slot of scratch, reused once its last reader within the group has run.
    void assign_slots() {
        std::vector<std::size_t> last_reader(values_.size(), 0);
        for (std::size_t i = 0; i < steps_.size(); ++i)
            for (ValueIndex operand : steps_[i].operands) last_reader[operand] = i;
        for (const Fold& fold : folds_) last_reader[fold.operand] = steps_.size(); // folds run after all steps
        std::vector<OperandIndex> free;
        OperandIndex next_store = static_cast<OperandIndex>(group_.loads.size());
        group_.stores = static_cast<std::int32_t>(std::ranges::count_if(steps_, [&](const Step& step) {
            return is_stored(values_[step.value]) && !is_in_rows(values_[step.value]);
        }));
        OperandIndex first_slot = next_store + group_.stores;
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            const auto& [index, operands, links] = steps_[i];
            Value& value = values_[index];
            const Node& last = node(value.node);
            GroupStep step{.kernel = links.size() > 1 ? chain_kernel(last.type.dtype, {links.data(), links.size()})
                                                      : tile_kernel(last),
                           .row_kernel = row_kernel(last), .operands = {}, .result = 0};
            for (ValueIndex operand : operands) step.operands.push_back(values_[operand].place);
            if (is_stored(value)) step.store = value.owner, step.in_rows = is_in_rows(value);
            if (step.store >= 0 && !step.in_rows) {
                step.result = next_store++;
            } else {
                if (free.empty()) free.push_back(first_slot + group_.slots++);
                step.result = free.back();
                free.pop_back();
            }
            value.place = step.result;
            if (step.in_rows) free.push_back(step.result); // nobody else reads it
            group_.steps.push_back(step);
            for (std::size_t k = 0; k < operands.size(); ++k) {
                bool repeated = std::find(operands.begin(), operands.begin() + k, operands[k]) != operands.begin() + k;
                if (step.operands[k] >= first_slot && last_reader[operands[k]] == i && !repeated)
                    free.push_back(step.operands[k]);
            }
        }
    }

    void find_walks() {
        auto wider_than = [&](const GroupFold& fold) {
            return std::ranges::find_if(group_.folds, [&](const GroupFold& other) {
                return other.kernel == fold.kernel->within && other.operand == fold.operand && other.axes == fold.axes;
            });
        };
        for (GroupFold& fold : group_.folds) {
            fold.is_within = wider_than(fold) != group_.folds.end();
            if (fold.is_within) continue;
            fold.walk = static_cast<std::int32_t>(group_.walks.size());
            group_.walks.emplace_back(fold, group_.space.shape);
        }
        for (GroupFold& fold : group_.folds)
            if (fold.is_within) fold.walk = wider_than(fold)->walk;
    }

    struct Fold {
        NodeId node;
        ValueIndex operand;
    };
    Group& group_;
    const Tape& tape_;
    const GroupChoices& choices_;
    std::vector<Fold> folds_;
    std::vector<Step> steps_;
    std::vector<Value> values_;
    std::vector<Window> windows_;
    std::map<std::tuple<NodeId, NodeId, std::int32_t>, ValueIndex> index_;
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

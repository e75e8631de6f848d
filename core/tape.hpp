#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include <cotape/core/memory_plan.hpp>
#include <cotape/core/node.hpp>
#include <cotape/core/op.hpp>
#include <cotape/core/stable_list.hpp>
#include <cotape/core/state.hpp>
#include <cotape/core/var.hpp>

namespace cotape {

struct FusionPlan;

/// How values are computed. Both give the same values, up to the order in which sums are added.
enum class Evaluator : std::uint8_t {
    automatic, ///< what the environment variable COTAPE_EVALUATOR says, "plain" or "fused"; without it fused
    plain,     ///< one node at a time: the reference
    fused,     ///< elementwise chains and the sums at their ends run tile by tile, in one pass over memory
};

/// Settings of one tape.
struct TapeOptions {
    /// Look at every value as it is computed; the first NaN or infinity throws NonFiniteError, which names the op, the
    /// user's line, the module, the element and the ranges of the inputs.
    /// Tapes that check evaluate plainly.
    bool check_finite = false;
    Evaluator evaluator = Evaluator::automatic;
};

struct ProposalOptions {
    /// Lets the commit write the new value over the old one, where nobody holds that but the state and the tape. What
    /// reads the old value and is not computed by then can no longer be: reading it throws TapeError.
    bool in_place = false;
};

/// The record of a computation: a list of nodes in recording order, each an op applied to earlier nodes. It is the
/// computational graph, and all there is of it: derivatives are recorded on the same tape. Values are computed on
/// demand (see evaluate.hpp). Equal applications of an op are one node (hash-consing). A tape belongs to the thread
/// that made it; a Var of it becomes an error, never a dangling reference, when the tape is cleared or destroyed.
class Tape {
  public:
    explicit Tape(TapeOptions options = {});
    ~Tape();
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    /// A value that is there from the start. The same tensor gives the same Var.
    Var constant(Tensor value, Where where = Where::current());
    /// A value of its own: distinct from every other, even one with the same elements.
    Var variable(Tensor value, Where where = Where::current());
    /// The value of `state` as it is now; the same Var each time. Throws TapeError where the state has changed since
    /// this tape first read it: record each step on a new, or a cleared, tape.
    Var variable(const State& state, Where where = Where::current());
    /// Lets `value`, of any floating type and the state's shape, stand for `state` on this tape: a way to differentiate
    /// with respect to a model's parameters, or to run a float32 model in float64. Throws ShapeError for another shape,
    /// TapeError where the tape has read the state already.
    void bind(const State& state, Var value);
    /// All elements equal `value`.
    Var full(const Shape& shape, double value, Dtype dtype, Where where = Where::current());

    /// Asks that `state` become `value` when this tape is committed; replaces an earlier proposal for the same state.
    /// Throws ShapeError or DtypeError unless `value` has the type that the state has on this tape.
    void propose(const State& state, Var value, const ProposalOptions& options = {});
    /// What `state` would be after a commit: the value proposed for it, or else its value now.
    Var proposed(const State& state, Where where = Where::current());
    bool has_proposal(const State& state) const;

    std::size_t size() const { return nodes_.size(); }
    const Node& node(NodeId id) const { return nodes_[static_cast<std::size_t>(id)]; }
    Var var(NodeId id) const { return Var(anchor_, anchor_->generation, id); }
    const TapeOptions& options() const { return options_; }
    /// Whether a module, a composed function or a derivative is being recorded.
    bool in_scope() const { return context_.fixed_where; }
    /// The dotted path of the module that a node was recorded under; empty outside all modules.
    const std::string& module_path(const Node& node) const { return modules_[static_cast<std::size_t>(node.module)]; }

    /// Keeps `object` alive as long as there may be nodes on this tape that were recorded before: until it is cleared
    /// or destroyed.
    void retain(std::shared_ptr<const void> object) { retained_.push_back(std::move(object)); }

    /// Forgets all nodes and proposals; every Var of this tape becomes stale. Memory is kept for the next recording.
    void clear();

    /// Records under the module `name`, a part of the module recorded under before, while it lives. Nodes carry the
    /// line `where` of the outermost such scope: the user's line, not the module's.
    class ModuleScope;
    /// Takes back all that is recorded or proposed during its life, unless `keep()` is called: how a function that
    /// records many nodes leaves the tape as it was when it throws.
    class Transaction;

    /// The memory that the latest evaluation on this tape that succeeded took, for example that of an optimiser's step.
    /// Throws TapeError where there was none.
    MemoryPlan memory_plan() const;

    /// For evaluators: a computed value (empty where there is none yet), and how to put one there or, an empty one, to
    /// drop it.
    const Tensor& computed(NodeId id) const { return values_[static_cast<std::size_t>(node(id).value)]; }
    bool is_computed(NodeId id) const { return node(id).value != 0; }
    void set_computed(NodeId id, Tensor value);
    /// For evaluators: the plan they followed, whether they recycled what died on the way, and the tape's size then.
    struct LatestEvaluation {
        std::shared_ptr<const FusionPlan> plan;
        bool recycles = false;
        std::size_t tape_size = 0;
    };
    void set_latest_evaluation(LatestEvaluation evaluation) { latest_evaluation_ = std::move(evaluation); }
    /// Throws TapeError when called from a thread other than the tape's own.
    void check_thread() const;

  private:
    friend Var record(const Op& op, std::span<const Operand> inputs, const Attributes& attributes);
    friend class DerivativeScope;
    friend class LineScope;
    friend class Var;
    friend void commit(Tape& tape, std::span<const Var> also);

    /// How much is recorded, and since when: what a rollback goes back to.
    struct Extent {
        std::size_t nodes, types, attributes, readings;
        std::uint32_t first_generation;
    };
    /// From `generation` on, nodes with an id of at least `size` are not those of before.
    struct Rollback {
        std::uint32_t generation;
        NodeId size;
    };
    /// A place in the table of nodes by hash: the node there, if any, and the hash of its op, attributes and inputs.
    struct Slot {
        NodeId id = -1;
        std::uint32_t hash = 0;
    };
    /// A scalar on the tape, known by the bits of its value.
    struct Number {
        std::uint64_t bits = 0;
        Dtype dtype = Dtype::float32;
        NodeId node = -1;
    };
    struct Reading {
        State state;
        NodeId node;
        std::uint64_t version;
    };
    struct Proposal {
        State state;
        NodeId value;
        bool in_place;
    };

    /// What new nodes inherit: the user's line and module, and the node whose derivative is being recorded.
    struct Context {
        Where where;
        bool fixed_where = false;
        std::int32_t module = 0;
        NodeId derivative_of = -1;

        /// The outermost call is the user's.
        void fix(Where call) {
            if (!fixed_where) where = call;
            fixed_where = true;
        }
    };

    NodeId record_node(const Op& op, const NodeIds& inputs, const Attributes& attributes, const Type* type,
                       Where where);
    /// An application of an op that may have been recorded before.
    struct Application {
        const Op& op;
        const NodeIds& inputs;
        const Attributes& attributes;
        /// Given for sources, otherwise null: the op tells.
        const Type* type;
        /// Of op, attributes and inputs.
        std::uint64_t hash;
        /// Where the latest input says who used it first; null without inputs.
        NodeId* first_user = nullptr;
    };
    NodeId find(const Application& application) const;
    void insert(NodeId id, const Application& application);
    void insert_hashed(Slot slot);
    /// Makes the table anew, of those nodes that are still there.
    void rehash(std::size_t slots);
    const Type& keep_type(const Type& type, const Op& op, std::span<const Type* const> inputs);
    /// As `full`, for the scalar `value`.
    NodeId number(double value, Dtype dtype, Where where);
    const Reading* reading(const State& state) const;
    const Proposal* proposal(const State& state) const;
    void add_reading(Reading reading);
    void set_proposals(std::vector<Proposal> proposals);
    /// Whether the node that had `id` in `generation` is still there.
    bool holds(std::uint32_t generation, NodeId id) const;
    Extent extent() const {
        return {nodes_.size(), types_.size(), attributes_.size(), readings_.size(), first_generation_};
    }
    void roll_back(const Extent& extent, std::vector<Proposal> proposals);

    TapeOptions options_;
    TapeAnchor* anchor_;
    std::uint32_t first_generation_;
    /// Of growing generation and growing size: a rollback to fewer nodes covers those before it.
    std::vector<Rollback> rollbacks_;
    std::thread::id thread_ = std::this_thread::get_id();
    StableList<Node> nodes_;
    /// What nodes refer to.
    StableList<Type> types_;
    StableList<Attributes> attributes_;
    /// Where nodes are found by hash: those that are not the first user of their latest input.
    std::vector<Slot> hashed_;
    std::size_t hashed_nodes_ = 0;
    /// Some of the scalars that operations met as numbers: rules and modules repeat a few of them.
    std::array<Number, 8> numbers_;
    /// The values of the nodes that have one. The first is the empty one of all others; those of `free_values_` are
    /// empty too, and to be used next.
    StableList<Tensor> values_;
    std::vector<std::int32_t> free_values_;
    LatestEvaluation latest_evaluation_;
    std::vector<std::string> modules_{""};
    std::unordered_map<std::string, std::int32_t> module_numbers_{{"", 0}};
    Context context_;
    std::vector<Reading> readings_;
    std::vector<Proposal> proposals_;
    /// Where in these two lists a state is, by its id.
    std::unordered_map<std::uint64_t, std::size_t> reading_of_, proposal_of_;
    std::int64_t variables_ = 0;
    std::vector<std::shared_ptr<const void>> retained_;
};

class Tape::ModuleScope {
  public:
    ModuleScope(Tape& tape, std::string_view name, Where where);
    ~ModuleScope() { tape_.context_ = saved_; }
    ModuleScope(const ModuleScope&) = delete;
    ModuleScope& operator=(const ModuleScope&) = delete;

  private:
    Tape& tape_;
    Context saved_;
};

class Tape::Transaction {
  public:
    explicit Transaction(Tape& tape)
        : tape_(tape), extent_(tape.extent()), proposals_(tape.proposals_) {}
    ~Transaction() {
        if (!kept_) tape_.roll_back(extent_, std::move(proposals_));
    }
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void keep() { kept_ = true; }

  private:
    Tape& tape_;
    Extent extent_;
    std::vector<Proposal> proposals_;
    bool kept_ = false;
};

/// For functions composed of operations: what is recorded while it lives carries the line of the user's call, `call`.
class LineScope {
  public:
    explicit LineScope(const Operand& call);
    ~LineScope() { tape_.context_ = saved_; }
    LineScope(const LineScope&) = delete;
    LineScope& operator=(const LineScope&) = delete;

  private:
    Tape& tape_;
    Tape::Context saved_;
};

/// Records derivatives of one node while it lives: new nodes carry that node's line and module, and name it.
class DerivativeScope {
  public:
    DerivativeScope(Tape& tape, NodeId id) : tape_(tape), saved_(tape.context_) {
        const Node& node = tape.node(id);
        tape.context_ = {node.where, true, node.module, id};
    }
    ~DerivativeScope() { tape_.context_ = saved_; }
    DerivativeScope(const DerivativeScope&) = delete;
    DerivativeScope& operator=(const DerivativeScope&) = delete;

  private:
    Tape& tape_;
    Tape::Context saved_;
};

/// "linear.cpp:12", or "linear.cpp:12 in layers.0": where a node was recorded.
std::string place_of(const Tape& tape, const Node& node);

} // namespace cotape

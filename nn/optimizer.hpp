#pragma once

#include <optional>
#include <string>
#include <vector>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// What one step of an optimiser can be told.
struct StepOptions {
    /// Scales all gradients down together where their joint Euclidean norm is larger.
    std::optional<double> clip_norm = {};
    /// Keeps every element of every gradient between -clip_value and clip_value.
    std::optional<double> clip_value = {};
    /// Leaves parameters without a gradient as they are instead of refusing the step.
    bool allow_missing = false;
};

/// Changes a model's parameters against the gradients of a loss. Holds handles to the parameters' states, not the
/// model, which may move. The update rule is recorded on the loss's tape, and the whole step is one commit. Making one
/// throws ValueError for a model without parameters and for options out of range.
class Optimizer {
  public:
    virtual ~Optimizer() = default;

    /// Records the gradients of the scalar `loss` and the new parameters, computes them together with everything else
    /// that was proposed on the tape (running statistics), and commits it all. The loss stays computed. Where anything
    /// throws, the tape and every state are as before. Throws ValueError, naming the parameters, where some got no
    /// gradient, unless `options.allow_missing`. What is recorded carries the line of the call, `where`.
    void step(Var loss, const StepOptions& options = {}, Where where = Where::current());

    double learning_rate() const { return learning_rate_; }
    /// Throws ValueError for a rate that is negative or not finite.
    void set_learning_rate(double rate);
    /// How many steps were committed.
    std::int64_t steps() const { return steps_; }
    /// The optimiser's own states (moments) with the paths of their parameters: "0.weight.momentum".
    std::vector<Named<State>> state() const;

  protected:
    /// A parameter with the states that the rule keeps for it, all zero at first.
    struct Slot {
        Named<Parameter> parameter;
        std::vector<State> states;
        /// How many steps have changed the parameter, the present one included.
        std::int64_t steps = 0;
    };

    Optimizer(std::string name, Module& model, double learning_rate, std::vector<std::string> state_names);

    /// The new value of `slot`'s parameter; proposes new values for the slot's states. `rate` is the learning rate.
    virtual Var update(const Slot& slot, Var parameter, Var gradient, Var rate) = 0;

    /// `number` as a value that changes from step to step without changing the graph.
    static Var input(Tape& tape, double number, Dtype dtype);
    void require(bool holds, const char* option, const char* required, double arrived) const;

  private:
    std::string name_;
    double learning_rate_ = 0;
    std::vector<std::string> state_names_;
    std::vector<Slot> slots_;
    std::int64_t steps_ = 0;
};

/// The gradients scaled by min(1, limit / norm), with `norm` their joint Euclidean norm, even where its square is
/// beyond their element type. All are NaN where one element is not finite.
std::vector<Var> clip_by_norm(const std::vector<Var>& gradients, double limit, Where where = Where::current());

/// The gradients with every element kept between -limit and limit.
std::vector<Var> clip_by_value(const std::vector<Var>& gradients, double limit, Where where = Where::current());

} // namespace cotape::nn

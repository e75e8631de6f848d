#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <cotape/core/state.hpp>
#include <cotape/core/var.hpp>

namespace cotape::nn {

class Module;

/// A state that optimisers change.
class Parameter : public State {
  public:
    using State::State;
};

/// Is shown the members of a module, each with its name.
class Visitor {
  public:
    virtual ~Visitor() = default;
    virtual void operator()(std::string_view name, Parameter& parameter) = 0;
    /// A state that is no parameter: a running statistic, a count.
    virtual void operator()(std::string_view name, State& statistic) = 0;
    virtual void operator()(std::string_view name, Module& module) = 0;
    void operator()(std::string_view name, std::optional<Parameter>& parameter) {
        if (parameter) (*this)(name, *parameter);
    }
};

/// A parameter or statistic with its dotted path: "0.weight".
template <class Kind>
struct Named {
    std::string path;
    Kind state;
};

/// A differentiable function with state: a layer, or a net of layers. A value that can be moved but not copied. It
/// lists its members once, in `visit`; parameters, statistics, the training mode and the summary all follow from that
/// list. Whether it trains or evaluates is a property of the module alone. Not for use from several threads at once.
class Module {
  public:
    Module() = default;
    Module(Module&&) = default;
    Module& operator=(Module&&) = default;
    virtual ~Module() = default;

    /// Records the module applied to `x` on x's tape, under the module's path and the caller's line. What the forward
    /// pass proposes (running statistics) changes nothing until the tape is committed. Where it throws, the tape is as
    /// before.
    Var operator()(Var x, Where where = Where::current());

    /// Shows every parameter, statistic and part to `visitor`, always in the same order.
    virtual void visit(Visitor&) {}
    /// One line on the layer itself: "Linear(784 -> 256, no bias)".
    virtual std::string describe() const = 0;

    bool is_training() const { return training_; }
    /// Sets this module and all its parts to train, or to evaluate.
    void set_training(bool training);
    void train() { set_training(true); }
    void evaluate() { set_training(false); }

    /// All parameters, or statistics, of this module and its parts, with their paths. The handles share the state, so
    /// they stay good when the module moves. A state that two parts share is listed once, under its first path.
    std::vector<Named<Parameter>> parameters();
    std::vector<Named<State>> statistics();
    std::int64_t parameter_count();

  protected:
    virtual Var forward(Var x) = 0;
    /// Throws DtypeError, naming the layer, unless its input has the element type that its state `own` has on the tape.
    void require_dtype(Var own, Dtype input) const;
    /// Runs `body`, which records on `tape`, under the module's path and the line of the user's call, `where`. For
    /// calls with more than one input or output: the public function of such a call wraps all it does in this.
    void recorded(Tape& tape, Where where, const std::function<void()>& body);

  private:
    friend class Evaluating;
    void name_parts();

    bool training_ = true;
    /// As the whole that was called last named it; empty for a module that is no part.
    std::string name_;
};

/// Evaluation mode for a module and all its parts while it lives; afterwards each is in the mode it was in before. The
/// module must outlive it, and must not move meanwhile.
class Evaluating {
  public:
    explicit Evaluating(Module& module);
    ~Evaluating();
    Evaluating(const Evaluating&) = delete;
    Evaluating& operator=(const Evaluating&) = delete;

  private:
    std::vector<std::pair<Module*, bool>> before_;
};

/// A table of the module's parts: path, description, parameter shapes and counts, with the batch-norm conventions in
/// force, and the total. A parameter that two parts share counts in the first.
std::string summary(Module& module);

} // namespace cotape::nn

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// What a recurrent net hands from one step to the next: the hidden state h, and in an LSTM the cell state c as well.
/// Each is [examples, hidden] for a cell and [cells, examples, hidden] for a net. An empty Var stands for
/// zeros.
struct RecurrentState {
    Var h = {}, c = {};
    /// How many steps went before: the number of the step that comes next, which says with which statistics it is
    /// normalised. A sequence that is read in parts, each from the state that the one before left, counts on.
    std::int64_t step = 0;
};

/// How a batch of sequences lies in memory while a net is unrolled over it: `count` steps of `examples` rows each, one
/// step after the other, so that all steps together are one matrix [count * examples, features].
class Steps {
  public:
    /// `mask` is [count, examples], 1 where a sequence has a step and 0 where it is padded, or empty for no padding;
    /// `first` the number of the first step. Throws ValueError where that is negative.
    Steps(Tape& tape, std::int64_t count, std::int64_t examples, const Tensor& mask, Dtype dtype,
          std::int64_t first = 0);

    std::int64_t first() const { return first_; }
    std::int64_t count() const { return count_; }
    std::int64_t examples() const { return examples_; }
    /// The rows of step `step`.
    Var rows(Var all, std::int64_t step) const;
    /// The mask as [count * examples, 1]; empty for no padding.
    Var mask() const { return mask_; }
    /// How many sequences have each step.
    const std::vector<std::int64_t>& present() const { return present_; }

  private:
    std::int64_t first_, count_, examples_;
    Var mask_;
    std::vector<std::int64_t> present_;
};

/// The hidden states of all steps, and the state after the last one.
struct Unrolled {
    std::vector<Var> h;
    RecurrentState last;
};

/// One layer of a recurrent net: the weights that every step shares. `weight_ih` is [gates * hidden, inputs],
/// `weight_hh` [gates * hidden, hidden], the biases [gates * hidden], with the gates in PyTorch's order, all uniform
/// within 1 / sqrt(hidden) at first, as PyTorch's are.
class RecurrentCell : public Module {
  public:
    /// One step on its own, the one that `state` counts: x [examples, inputs]. Throws ShapeError, naming the cell.
    RecurrentState step(Var x, const RecurrentState& state = {}, Where where = Where::current());

    std::int64_t inputs() const { return weight_ih_.type().shape[1]; }
    std::int64_t hidden() const { return weight_hh_.type().shape[1]; }
    /// How many parts of `hidden()` rows the weights have.
    std::int64_t gates() const { return weight_hh_.type().shape[0] / hidden(); }
    /// Whether the state has a part c.
    virtual bool has_cell_state() const { return false; }
    virtual bool has_bias() const { return bias_ih_.has_value(); }
    /// What is special about the cell, as a net of such cells prints it: ", no bias".
    virtual std::string remarks() const { return has_bias() ? "" : ", no bias"; }

    void visit(Visitor& visitor) override;
    std::string describe() const override;

  protected:
    friend class Recurrent;

    RecurrentCell(std::string name, std::int64_t inputs, std::int64_t hidden, std::int64_t gates, bool bias,
                  std::mt19937& random);
    /// With these weights, and no biases.
    RecurrentCell(std::string name, Tensor weight_ih, Tensor weight_hh);

    /// The first step, from zero; its h.
    Var forward(Var x) override { return step(x).h; }
    /// Records the cell for all steps of `x`, [steps.count() * steps.examples(), inputs], from `initial` on.
    virtual Unrolled unroll(Var x, const RecurrentState& initial, const Steps& steps) = 0;

    const std::string& name() const { return name_; }
    const Parameter& weight_ih() const { return weight_ih_; }
    const Parameter& weight_hh() const { return weight_hh_; }
    Var input_product(Var x) const;
    Var hidden_product(Var h) const;
    Var bias_ih(Tape& tape) const;
    Var bias_hh(Tape& tape) const;

    /// Part `index` of `gates`, [examples, parts * hidden].
    Var gate(Var gates, std::int64_t index) const;

    /// Records `step` for each step in turn. `projected` holds the input's part of the gates, for all steps. A sequence
    /// keeps its state at a step that it does not have.
    static Unrolled each_step(Var projected, RecurrentState state, const Steps& steps,
                              const std::function<RecurrentState(Var projected, const RecurrentState& state)>& step);

  private:
    std::string name_;
    Parameter weight_ih_, weight_hh_;
    std::optional<Parameter> bias_ih_, bias_hh_;
};

} // namespace cotape::nn

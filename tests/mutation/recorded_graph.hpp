#pragma once

#include <string>
#include <vector>

#include <cotape/core/op.hpp>
#include <cotape/core/tape.hpp>

/// A function as a tape recorded it: it can be recorded again, on another tape, with other inputs, and with one of its
/// ops replaced by another of the same signature. Lines and module paths stay those of the first recording.
class RecordedGraph {
  public:
    struct Step {
        const cotape::Op* op;
        std::vector<std::size_t> inputs;
        cotape::Attributes attributes;
        cotape::Type type;
        /// At the inputs of the first recording.
        cotape::Tensor value;
        cotape::Where where;
        std::string module;
    };

    /// What `output` needs; the steps of `inputs` come first, in their order.
    RecordedGraph(cotape::Var output, const std::vector<cotape::Var>& inputs);

    cotape::Var operator()(const std::vector<cotape::Var>& inputs) const;
    RecordedGraph with(std::size_t step, const cotape::Op& op) const;

    const std::vector<Step>& steps() const { return steps_; }
    std::size_t input_count() const { return input_count_; }
    /// Whether a step depends on the inputs.
    bool moves(std::size_t step) const;

  private:
    std::vector<Step> steps_;
    std::size_t input_count_;
};

#pragma once

#include <optional>
#include <string>
#include <vector>

#include <cotape/core/op.hpp>
#include <cotape/core/tape.hpp>

/// One way to get a derivative rule wrong: a change at one place of the expression that the rule records.
struct RuleMutation {
    enum class Change {
        negate,        ///< a flipped sign
        scale,         ///< 1 % too much
        double_,       ///< a factor 2 too much
        drop,          ///< the input gets no derivative at all: a missing path
        keep_first,    ///< of a product, quotient, sum or difference the first operand: a dropped factor or term
        keep_second,   ///< the second operand
        swap,          ///< operands swapped
        untranspose,   ///< a matrix, or a factor of a matrix product, not transposed, or transposed
        mean_for_sum,  ///< a sum, as over broadcast axes, that divides by the count
        slice_for_sum, ///< a sum that takes one element: an un-broadcast that is missing
        sum_for_mean,  ///< a mean that does not divide
        count_less,    ///< a division by n - 1 in place of n: ddof wrong
        save,          ///< a value of the forward pass as a constant
    };
    std::size_t input;
    /// The operands to go through, from the cotangent that the rule returns down to the place.
    std::vector<std::size_t> path;
    Change change;
    /// The op at the place; null for a change to whatever the rule returns. What a rule records may depend on the
    /// cotangent it is given: where another op stands at the place, nothing is changed.
    const cotape::Op* op;
    /// For reading: the change and the op at the place.
    std::string description;
};

/// All changes to the rule of `op` for its input `input`, as it is recorded at these inputs.
std::vector<RuleMutation> mutations(const cotape::Op& op, const cotape::Attributes& attributes,
                                    const std::vector<cotape::Tensor>& inputs, std::size_t input);

/// A copy of `op` with that change in its derivative rule.
cotape::Op mutant(const cotape::Op& op, const RuleMutation& mutation);

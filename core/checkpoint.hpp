#pragma once

#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include <cotape/core/var.hpp>

namespace cotape {

/// A function of variables, composed of operations.
using VarFunction = std::function<Var(const std::vector<Var>& inputs)>;

/// `function(inputs)`, with the same value and the same derivatives of every order, in less memory: what the function
/// computes from its inputs on the way is not kept for the reverse pass, which computes it again as soon as it gets
/// there. Checkpoints nest. In a chain of n steps, checkpoints over about sqrt(n) steps each keep about 2 sqrt(n)
/// values.
///
/// `function` is called once, here, and what it recorded is what is computed again: draws are not repeated, statistics
/// are proposed once. Variables that it reads besides its inputs get their gradients. Memory is saved where an
/// evaluation keeps what was requested alone (commit, a step of an optimiser, Keep::requested). Forward mode computes
/// everything twice. Throws ValueError for no inputs, TapeError for inputs or a result of another tape, and what the
/// function throws.
Var checkpoint(const VarFunction& function, std::span<const Var> inputs, Where where = Where::current());
Var checkpoint(const VarFunction& function, std::initializer_list<Var> inputs, Where where = Where::current());

/// Whether `node` is the output of a checkpoint: it stands for what is recorded before it.
bool is_checkpoint(const Node& node);

} // namespace cotape

#pragma once

#include <initializer_list>
#include <span>
#include <string>

#include <cotape/core/tape.hpp>

namespace cotape {

// The computational graph for human eyes: all that a tape holds, or only what some Vars of one tape need. Printing
// computes nothing. Throw TapeError for Vars of two tapes.

/// One node a line, in recording order: number, op, inputs and attributes, type, the place in the user's program, and
/// of a node that a derivative rule recorded, the node it belongs to:
///   %2 = sum(%1, axes=[0], keep_dims=1) : float32 [1, 3] at main.cpp:12 in layers.0
///   %5 = broadcast_to(%4, shape=[2, 3]) : float32 [2, 3] at main.cpp:12 in layers.0, derivative of sum %2
std::string to_text(const Tape& tape);
std::string to_text(std::span<const Var> vars);
std::string to_text(std::initializer_list<Var> vars);

/// The same as a Graphviz digraph, to draw with `dot -Tsvg`: a box around each module, parts inside their whole;
/// constants and variables are ellipses, what derivative rules recorded is blue and dashed.
std::string to_dot(const Tape& tape);
std::string to_dot(std::span<const Var> vars);
std::string to_dot(std::initializer_list<Var> vars);

} // namespace cotape

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <cotape/core/tensor.hpp>
#include <cotape/core/var.hpp>

namespace cotape {

/// A function to be checked: its output from its inputs, recorded on their tape. It is called once for each point, each
/// time on a fresh tape, and must give the same output each time. What it proposes for states is never committed.
using CheckedFunction = std::function<Var(const std::vector<Var>& inputs)>;

struct GradientCheckOptions {
    /// The highest order of derivatives to check, 1 to 4.
    int order = 1;
    std::uint64_t seed = 1;
    /// Up to this many elements in all inputs together are checked one by one; beyond, along random directions.
    std::int64_t element_limit = 64;
    /// How many random directions for each input.
    int directions = 2;
};

enum class Verdict {
    pass,
    fail,
    inconclusive, ///< nothing wrong was found, but something could not be checked: see the reason
};

const char* to_string(Verdict verdict);

/// One derivative that is not what it should be.
struct GradientFinding {
    /// Which derivative was wrong: the gradient, against differences, or jvp, against the gradient.
    enum class Mode { reverse, forward };

    Mode mode = Mode::reverse;
    int order = 1;
    std::size_t input = 0;
    /// The row-major position within the input; -1 where only a direction is known to be wrong.
    std::int64_t element = -1;
    double got = 0;
    double expected = 0;
    double error = 0;
    /// How large the error may be: computed from the differences and the rounding, not chosen.
    double bound = 0;
};

/// What was compared at one order, and how sharp the comparison was.
struct GradientOrderSummary {
    int order = 1;
    std::int64_t comparisons = 0;
    /// The largest error as a share of its bound, among those within it.
    double worst_error = 0;
    /// The largest bound as a share of the derivative's scale: errors below that share go unseen.
    double resolution = 0;
};

/// The outcome of check_gradients. True in conditions exactly where everything was checked and is right.
struct GradientCheckReport {
    Verdict verdict = Verdict::pass;
    /// In one sentence, what is wrong or could not be checked; empty for pass.
    std::string reason;
    std::vector<GradientFinding> findings;
    std::vector<GradientOrderSummary> orders;

    explicit operator bool() const { return verdict == Verdict::pass; }
};

/// The report as a few lines of text: the verdict, the reason, the first findings.
std::string to_string(const GradientCheckReport& report);

/// Checks the derivatives of `function` at float64 `inputs`. With phi_1 = sum(w * function(x)) for random weights w,
/// the gradient of phi_k is compared with central differences of phi_k, and phi_{k+1} is that gradient's product with a
/// random direction, up to the order asked for. Nested forward derivatives (jvp) are compared with the same numbers.
///
/// A derivative fails where it is off by more than the differences' own error bound. Inconclusive, with the reason, are:
/// inputs of another type or not finite; a function that is not finite, or not the same when called again; an input that
/// does not move the output (sum(batch_norm(x)) annihilates every probe); a kink, or a border of the domain, within the
/// smallest step. Throws ValueError for an order outside 1 to 4 or no inputs, and what the function throws.
GradientCheckReport check_gradients(const CheckedFunction& function, const std::vector<Tensor>& inputs,
                                    const GradientCheckOptions& options = {});

} // namespace cotape

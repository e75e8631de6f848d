#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <cotape/core/attributes.hpp>
#include <cotape/core/tensor.hpp>
#include <cotape/core/var.hpp>

namespace cotape {

struct Op;

/// A function to be checked: its output from its inputs, recorded on their tape. It is called once for each point, each
/// time on a fresh tape, and must give the same output each time. What it proposes for states is never committed.
using CheckedFunction = std::function<Var(const std::vector<Var>& inputs)>;

/// How derivatives of derivatives are nested. The last two are as the others at order 1, and checked from order 2 on
/// where the reverse mode is checked as well.
enum class DerivativeMode : std::uint8_t {
    reverse,              ///< gradients of gradients
    forward,              ///< jvps of jvps
    reverse_over_forward, ///< the gradient of jvps
    forward_over_reverse, ///< the jvp of gradients
};

struct GradientCheckOptions {
    /// The highest order of derivatives to check, 1 to 4; where it is not given, 1 for functions and nets, 3 for ops.
    std::optional<int> order = std::nullopt;
    std::vector<DerivativeMode> modes = {DerivativeMode::reverse, DerivativeMode::forward,
                                         DerivativeMode::reverse_over_forward, DerivativeMode::forward_over_reverse};
    std::uint64_t seed = 1;
    /// Up to this many elements in all inputs together are checked one by one; beyond, along random directions.
    std::int64_t element_limit = 64;
    /// How many random directions for each input, at least 1.
    int directions = 2;
    /// Check each element of the output against each element of the inputs, instead of a random projection of the
    /// output.
    bool full_jacobian = false;
    /// Where a derivative is wrong, look for the ops whose rules are.
    bool localize = true;
    /// What reports call the inputs; where there is none for one, "input 2".
    std::vector<std::string> input_names = {};
};

enum class Verdict : std::uint8_t {
    pass,
    fail,
    inconclusive, ///< nothing wrong was found, but something could not be checked: see the obstacle and the reason
};

/// Why something could not be checked.
enum class Obstacle : std::uint8_t {
    none,
    input_type,        ///< an input, or the output, is not float64
    not_finite,        ///< an input is NaN or infinite, or makes the function infinite
    outside_domain,    ///< the function is not defined at an input, or right beside it
    not_deterministic, ///< the function gives something else when it is called again
    annihilated,       ///< an input does not move the projected output: every derivative would look right
    kink,              ///< the slopes on the two sides of an input differ, however small the step
    rounding,          ///< differences at no step are sharp enough to tell right from wrong
    out_of_range,      ///< numbers on the way underflow or overflow
};

const char* to_string(Verdict verdict);
const char* to_string(Obstacle obstacle);
const char* to_string(DerivativeMode mode);

/// One derivative that is not what it should be.
struct GradientFinding {
    DerivativeMode mode = DerivativeMode::reverse;
    int order = 1;
    std::size_t input = 0;
    /// The row-major position within the input; -1 where only a direction is known to be wrong.
    std::int64_t element = -1;
    double got = 0;
    double expected = 0;
    double error = 0;
    /// How large the error may be: computed from the differences and the rounding, not chosen.
    double bound = 0;
    /// As options.input_names calls the input; empty where they do not.
    std::string input_name = {};
};

/// What was compared at one order, and how sharp the comparison was.
struct GradientOrderSummary {
    int order = 1;
    std::int64_t comparisons = 0;
    /// How many of them were with exact differences: the function is quadratic there.
    std::int64_t exact = 0;
    /// The largest error as a share of its bound, among those within it.
    double worst_error = 0;
    /// The largest bound as a share of the derivative's scale: errors below that share go unseen.
    double resolution = 0;
    /// At most the chance that the random projections hide an error, in one element of the Jacobian, of 1 % of the
    /// largest derivative; 0 for a full Jacobian.
    double chance_of_missing = 0;
};

/// An op whose derivative rule is wrong at the inputs that it was recorded with.
struct WrongRule {
    std::string op;
    /// The line of the user's program, and the dotted path of the module, as in Node.
    std::string file;
    unsigned line = 0;
    std::string module;
    /// The worst element of the op's input.
    GradientFinding worst;
    /// What the error looks like in words: "a flipped sign", "a missing factor 1/8"; empty where like nothing known.
    std::string resembles;
};

/// The outcome of check_gradients. True in conditions exactly where everything was checked and is right.
struct GradientCheckReport {
    Verdict verdict = Verdict::pass;
    /// In one sentence, what is wrong or could not be checked; empty for pass.
    std::string reason = "";
    Obstacle obstacle = Obstacle::none;
    std::vector<GradientFinding> findings = {};
    std::vector<GradientOrderSummary> orders = {};
    /// The ops to blame for the findings.
    std::vector<WrongRule> wrong_rules = {};

    explicit operator bool() const { return verdict == Verdict::pass; }
    /// For the end of a program: 0 for pass, 1 for fail, 2 for inconclusive.
    int exit_status() const { return static_cast<int>(verdict); }
};

/// The report as a table: the verdict, the reason, what was compared, the first findings, the wrong rules.
std::string to_string(const GradientCheckReport& report);

/// The report as a JSON object in one line, with the members' names; modes, verdict and obstacle as their to_string,
/// numbers that are not finite as null.
std::string to_json(const GradientCheckReport& report);

/// Checks the derivatives of `function` at float64 `inputs`. With phi_1 = sum(w * function(x)) for random weights w,
/// the gradient of phi_k is compared with central differences of phi_k, and phi_{k+1} is that gradient's product with a
/// random direction, up to the order asked for. Derivatives nested in the other modes are compared with the same
/// numbers, or with differences where the reverse mode is not asked for.
///
/// A derivative fails where it is off by more than the differences' own error bound; then each op on the function's
/// tape is tested at its recorded inputs (options.localize). Where nothing is wrong but something could not be checked,
/// the verdict is inconclusive and says why (see Obstacle). Throws ValueError for an order outside 1 to 4, less than
/// one direction, no modes, or no inputs, and what the function throws.
GradientCheckReport check_gradients(const CheckedFunction& function, const std::vector<Tensor>& inputs,
                                    const GradientCheckOptions& options = {});

/// Checks the derivative rule of one op, to order 3 where no order is given. Inputs of int64 are held constant. A
/// report names the line `where` of the call.
GradientCheckReport check_gradients(const Op& op, const std::vector<Tensor>& inputs, const Attributes& attributes = {},
                                    const GradientCheckOptions& options = {}, Where where = Where::current());

} // namespace cotape

#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <cotape/core/attributes.hpp>
#include <cotape/core/shape.hpp>
#include <cotape/core/tensor.hpp>
#include <cotape/core/var.hpp>

namespace cotape {

struct Op;

/// One application of an op, as its shape rule and its kernel see it.
struct Call {
    const Op& op;
    const Attributes& attributes;
    std::span<const Type* const> inputs;

    const std::string& name() const;
    const Type& type(std::size_t input) const { return *inputs[input]; }
    const Shape& shape(std::size_t input) const { return inputs[input]->shape; }
};

/// What a derivative rule sees: the node's output `y`, the cotangent `g` of that output, the inputs `x`, and which of
/// them the rule is asked about.
struct Rule {
    Var y;
    Var g;
    std::span<const Var> x;
    std::size_t input;
    const Attributes& attributes;
};

/// How the evaluator may treat an op.
enum class OpKind : std::uint8_t {
    source,      ///< no inputs: constants, variables
    elementwise, ///< each output element from the input elements it broadcasts from; has tile kernels
    rowwise,     ///< each row along the attribute "axis" from the same row of the only input; has row kernels
    reduction,   ///< sums or selects over axes
    view,        ///< the same elements under another shape
    opaque,      ///< everything else: products, gathers, data movement
    symbolic,    ///< stands for a value that nobody may ask for
};

/// `rows` rows of `columns` consecutive elements. From the start of one row to the start of the next it is as many
/// elements as `distances` says, of each input and then of the output: 0 for an input whose rows are all the same.
struct Tile {
    std::size_t rows;
    std::size_t columns;
    const std::int64_t* distances;
};

/// Where a row of an operand begins, whose first is at `begin`.
template <class T, class Void>
[[gnu::always_inline]] inline T* start_of_row(Void* begin, const Tile& tile, std::size_t row, std::size_t operand) {
    return static_cast<T*>(begin) + static_cast<std::int64_t>(row) * tile.distances[operand];
}

/// Computes a tile of outputs, each element from one of each input. The output may lie where an input does, element on
/// element.
using TileKernel = void (*)(const void* const* inputs, void* output, const Tile& tile);

/// Computes `rows` rows of `extent` consecutive elements from as many of the input. The output may be the input.
using RowKernel = void (*)(const void* input, void* output, std::size_t rows, std::size_t extent);

/// Ops that an evaluator may run several of in one loop.
enum class Arithmetic : std::uint8_t { none, add, subtract, multiply };

/// `count` rows of `width` consecutive elements, `distance` elements from the start of one to the start of the next.
struct FoldRows {
    std::int64_t count;
    std::int64_t width;
    std::int64_t distance;
};

/// How a reduction takes in its input tile by tile. Its state is `planes` doubles for each output, plane by plane,
/// `stride` apart; each plane begins with a value of its own.
struct FoldKernel {
    int planes;
    std::array<double, 4> start;
    /// Takes an element of each row into each of `rows.width` outputs, which have taken in equally many before.
    void (*take_rows)(const void* x, Dtype dtype, const FoldRows& rows, double* state, std::int64_t stride);
    /// Takes `count` elements into one output.
    void (*take_run)(const void* x, Dtype dtype, std::int64_t count, double* state, std::int64_t stride);
    /// Adds the state of other elements to `state`, for `outputs` outputs.
    void (*join)(double* state, const double* other, std::int64_t outputs, std::int64_t stride);
    /// The results of outputs that took in `count` elements each.
    void (*finish)(const double* state, double* results, std::int64_t outputs, std::int64_t stride, std::int64_t count);
    /// A fold whose state holds this one's result too, and how to get it from there: for a group that needs both.
    const FoldKernel* within = nullptr;
    void (*finish_within)(const double* state, double* results, std::int64_t outputs, std::int64_t stride,
                          std::int64_t count) = nullptr;
};

/// One primitive, everything about it in one place. Ops are constants: they outlive every tape that names them, and are
/// told apart by address. Ops are pure: equal attributes and inputs give equal outputs.
struct Op {
    /// As messages, graphs and checkers print it.
    std::string name;
    /// The type of the output. Checks the inputs and throws an Error that begins with the op's name.
    std::function<Type(const Call&)> type;
    /// The output, of type `output`, from the inputs' elements.
    std::function<Tensor(const Call&, const Type& output, std::span<const Tensor> inputs)> kernel = nullptr;
    /// Instead of `kernel`: writes all elements of the output, to memory that it is given. That holds anything, lies
    /// over no input, and may begin at any element of a larger tensor. Saves a copy where the output is concatenated.
    std::function<void(const Call&, std::span<const Tensor> inputs, MutableTensor& output)> fill = nullptr;
    /// The cotangent of `rule.x[rule.input]`, of that input's type, *recorded with ops on Vars*, so that it can be
    /// differentiated in turn. An empty Var where the output does not depend smoothly on that input; no function at all
    /// where it depends so on none.
    std::function<Var(const Rule& rule)> derivative = nullptr;
    /// In place of `derivative` where one computation gives the cotangents of several inputs: those that `wanted`
    /// lists, in that order.
    std::function<std::vector<Var>(const Rule& rule, std::span<const std::size_t> wanted)> joint_derivative = nullptr;
    OpKind kind = OpKind::opaque;
    /// The sum of several outputs of this op, all of one type, where there is something cheaper than adding them one by
    /// one; an empty Var where there is not. A value used in many places has as many cotangents to sum.
    std::function<Var(std::span<const Var> outputs)> sum = nullptr;
    /// For elementwise ops: the loops for float32 and float64.
    TileKernel tile_float32 = nullptr;
    TileKernel tile_float64 = nullptr;
    /// For rowwise ops: the loops for rows along the last axis.
    RowKernel row_float32 = nullptr;
    RowKernel row_float64 = nullptr;
    /// For elementwise and rowwise ops: what an element costs, in additions.
    int cost = 1;
    /// For elementwise ops of one input: the output has its elements, stretched.
    bool stretches = false;
    /// For elementwise ops of two inputs: which operation on numbers this is.
    Arithmetic arithmetic = Arithmetic::none;
    /// For ops of one input that only choose among its elements: where these are.
    std::function<View(const Call&)> view = nullptr;
    /// For ops that put the elements of their inputs side by side: where those of each are in the output.
    std::function<std::vector<View>(const Call&)> placement = nullptr;
    /// For reductions that can be fused with what comes before them: how; the attribute "axes" says over which axes.
    const FoldKernel* fold = nullptr;

    bool is_differentiable() const { return derivative || joint_derivative; }
};

inline const std::string& Call::name() const { return op.name; }

/// Records one application of `op` and returns its output; where the tape holds the same op with the same attributes on
/// the same inputs, that node is returned. Throws what the op's shape rule throws, and TapeError for inputs of two
/// tapes; the tape is then unchanged. At least one operand must be a Var.
Var record(const Op& op, std::span<const Operand> inputs, const Attributes& attributes = {});
Var record(const Op& op, std::initializer_list<Operand> inputs, const Attributes& attributes = {});

} // namespace cotape

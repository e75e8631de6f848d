#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include <cotape/core/cpu.hpp>
#include <cotape/core/op.hpp>

namespace cotape {

/// In place of a derivative: the output does not depend smoothly on that input.
constexpr std::nullptr_t no_derivative = nullptr;

namespace detail {

/// Broadcasts `operands` floating inputs of one element type. Throws ShapeError for another number of inputs.
Type elementwise_type(const Call& call, std::size_t operands);
Tensor elementwise_kernel(const Call& call, const Type& output, std::span<const Tensor> inputs);

/// `cotangent`, of the output's shape, summed to the shape of the input that `rule` is asked about. Throws ShapeError
/// for another shape: what the rule's author summed or stretched is not to be summed again.
[[nodiscard]] Var sum_to_input(const Rule& rule, Var cotangent);

/// The loops of one elementwise function over a tile.
template <class Function, class T, std::size_t... I>
void run_tile(const void* const* inputs, void* output, const Tile& tile) {
    run_vectorized([&]() __attribute__((always_inline)) {
        for (std::size_t row = 0; row < tile.rows; ++row) {
            const T* in[] = {start_of_row<const T>(inputs[I], tile, row, I)...};
            T* out = start_of_row<T>(output, tile, row, sizeof...(I));
#pragma GCC ivdep // an input may lie where the output does, element on element
            for (std::size_t i = 0; i < tile.columns; ++i) out[i] = static_cast<T>(Function()(in[I][i]...));
        }
    });
}

template <class Function, class T, std::size_t... I>
constexpr TileKernel tile_kernel(std::index_sequence<I...>) {
    return run_tile<Function, T, I...>;
}

template <class Derivative, std::size_t... I>
Var apply_derivative(const Rule& rule, std::index_sequence<I...>) {
    if constexpr (std::is_same_v<Derivative, std::nullptr_t>)
        return Var();
    else
        return sum_to_input(rule, Derivative()(rule.y, rule.g, rule.x[I]...));
}

} // namespace detail

/// An op that computes each output element from one element of each input, broadcast against each other.
/// `function` computes one element, for float and double, and has no state; `derivatives` gives, for each input, the
/// cotangent of that input from the output `y`, the cotangent `g` of `y`, and the inputs: `[](Var y, Var g, Var x)
/// {...}`. Where an input was broadcast, its cotangent is summed back to its shape here.
template <class Function, class... Derivatives>
Op elementwise(std::string name, Function, Derivatives...) {
    using Inputs = std::index_sequence_for<Derivatives...>;
    Op op{
        .name = std::move(name),
        .type = [](const Call& call) { return detail::elementwise_type(call, sizeof...(Derivatives)); },
        .kernel = detail::elementwise_kernel,
        .kind = OpKind::elementwise,
        .tile_float32 = detail::tile_kernel<Function, float>(Inputs()),
        .tile_float64 = detail::tile_kernel<Function, double>(Inputs()),
    };
    if constexpr (!(std::is_same_v<Derivatives, std::nullptr_t> && ...))
        op.derivative = [](const Rule& rule) {
            using Apply = Var (*)(const Rule&);
            static constexpr std::array<Apply, sizeof...(Derivatives)> rules{
                [](const Rule& r) { return detail::apply_derivative<Derivatives>(r, Inputs()); }...};
            return rules[rule.input](rule);
        };
    return op;
}

/// `op` with what one element costs, in additions: how an evaluator tells what is cheap to compute again.
inline Op with_cost(int cost, Op op) {
    op.cost = cost;
    return op;
}

/// `op`, which is this operation on two numbers: an evaluator may run it in one loop with others.
inline Op with_arithmetic(Arithmetic arithmetic, Op op) {
    op.arithmetic = arithmetic;
    return op;
}

} // namespace cotape

#include <cotape/nn/recurrent_cell.hpp>

#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {
namespace {

Tensor initial_weight(const std::string& name, std::int64_t rows, std::int64_t columns, std::int64_t hidden,
                      std::mt19937& random) {
    if (rows < 1 || columns < 1 || hidden < 1)
        throw ValueError(
            fmt::format("{}: needs at least one input and one hidden unit, got {} and {}", name, columns, hidden));
    double bound = 1 / std::sqrt(static_cast<double>(hidden));
    return uniform({rows, columns}, -bound, bound, random);
}

} // namespace

Steps::Steps(Tape& tape, std::int64_t count, std::int64_t examples, const Tensor& mask, Dtype dtype, std::int64_t first)
    : first_(first), count_(count), examples_(examples), present_(static_cast<std::size_t>(count), examples) {
    if (first < 0) throw ValueError(fmt::format("Steps: the first step must not be negative, got {}", first));
    if (mask.empty()) return;
    mask_ = reshape(tape.constant(mask.as(dtype)), {count * examples, 1});
    for (std::int64_t step = 0; step < count; ++step) {
        std::int64_t& present = present_[static_cast<std::size_t>(step)] = 0;
        for (std::int64_t i = 0; i < examples; ++i) present += mask.at(step * examples + i) != 0;
    }
}

Var Steps::rows(Var all, std::int64_t step) const { return slice(all, 0, step * examples_, (step + 1) * examples_); }

RecurrentCell::RecurrentCell(std::string name, std::int64_t inputs, std::int64_t hidden, std::int64_t gates, bool bias,
                             std::mt19937& random)
    : name_(std::move(name)), weight_ih_(initial_weight(name_, gates * hidden, inputs, hidden, random)),
      weight_hh_(initial_weight(name_, gates * hidden, hidden, hidden, random)) {
    if (!bias) return;
    double bound = 1 / std::sqrt(static_cast<double>(hidden));
    bias_ih_.emplace(uniform({gates * hidden}, -bound, bound, random));
    bias_hh_.emplace(uniform({gates * hidden}, -bound, bound, random));
}

RecurrentCell::RecurrentCell(std::string name, Tensor weight_ih, Tensor weight_hh)
    : name_(std::move(name)), weight_ih_(std::move(weight_ih)), weight_hh_(std::move(weight_hh)) {}

RecurrentState RecurrentCell::step(Var x, const RecurrentState& state, Where where) {
    const Shape& shape = x.shape();
    if (shape.size() != 2 || shape[1] != inputs())
        throw ShapeError(fmt::format("{}: needs [examples, {}], got {}", name_, inputs(), to_string(shape)));
    Shape required{shape[0], hidden()};
    RecurrentState result;
    recorded(x.tape(), where, [&] {
        Tape& tape = x.tape();
        require_dtype(tape.variable(weight_ih_), x.dtype());
        auto given = [&](Var part) {
            if (part && !(part.shape() == required))
                throw ShapeError(fmt::format("{}: the state must be {}, got {}", name_, to_string(required),
                                             to_string(part.shape())));
            return part ? part : tape.full(required, 0, x.dtype());
        };
        RecurrentState initial{given(state.h), has_cell_state() ? given(state.c) : Var()};
        result = unroll(x, initial, Steps(tape, 1, shape[0], {}, x.dtype(), state.step)).last;
    });
    return result;
}

Var RecurrentCell::input_product(Var x) const {
    return matmul(x, x.tape().variable(weight_ih_), {.transpose_b = true});
}

Var RecurrentCell::hidden_product(Var h) const {
    return matmul(h, h.tape().variable(weight_hh_), {.transpose_b = true});
}

Var RecurrentCell::bias_ih(Tape& tape) const { return tape.variable(*bias_ih_); }
Var RecurrentCell::bias_hh(Tape& tape) const { return tape.variable(*bias_hh_); }

Var RecurrentCell::gate(Var gates, std::int64_t index) const {
    return slice(gates, 1, index * hidden(), (index + 1) * hidden());
}

Unrolled
RecurrentCell::each_step(Var projected, RecurrentState state, const Steps& steps,
                         const std::function<RecurrentState(Var projected, const RecurrentState& state)>& step) {
    Unrolled unrolled;
    for (std::int64_t t = 0; t < steps.count(); ++t) {
        RecurrentState next = step(steps.rows(projected, t), state);
        if (steps.mask()) {
            Var present = steps.rows(steps.mask(), t);
            next.h = where(present, next.h, state.h);
            if (next.c) next.c = where(present, next.c, state.c);
        }
        unrolled.h.push_back(next.h);
        state = next;
    }
    unrolled.last = state;
    unrolled.last.step = steps.first() + steps.count();
    return unrolled;
}

void RecurrentCell::visit(Visitor& visitor) {
    visitor("weight_ih", weight_ih_);
    visitor("weight_hh", weight_hh_);
    visitor("bias_ih", bias_ih_);
    visitor("bias_hh", bias_hh_);
}

std::string RecurrentCell::describe() const {
    return fmt::format("{}({} -> {}{})", name_, inputs(), hidden(), remarks());
}

} // namespace cotape::nn

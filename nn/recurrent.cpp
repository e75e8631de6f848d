#include <cotape/nn/recurrent.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {
namespace {

/// Shows members under their names with a layer's number behind.
class OfLayer : public Visitor {
  public:
    OfLayer(Visitor& visitor, std::size_t layer) : visitor_(visitor), ending_(fmt::format("_l{}", layer)) {}
    void operator()(std::string_view name, Parameter& parameter) override { visitor_(named(name), parameter); }
    void operator()(std::string_view name, State& statistic) override { visitor_(named(name), statistic); }
    void operator()(std::string_view name, Module& module) override { visitor_(named(name), module); }

  private:
    std::string named(std::string_view name) const { return std::string(name) + ending_; }

    Visitor& visitor_;
    std::string ending_;
};

Var rows_of(const std::vector<Var>& steps) { return concatenate({steps.begin(), steps.end()}, 0); }

} // namespace

Recurrent::Recurrent(std::string name, std::int64_t layers, bool last_step)
    : name_(std::move(name)), last_step_(last_step) {
    if (layers < 1) throw ValueError(fmt::format("{}: needs at least one layer, got {}", name_, layers));
}

std::unique_ptr<RecurrentCell> Recurrent::replace(std::size_t layer, std::unique_ptr<RecurrentCell> cell) {
    if (layer >= cells_.size())
        throw ValueError(fmt::format("{}: replace needs one of {} layers, got layer {}", name_, cells_.size(), layer));
    const RecurrentCell& before = *cells_[layer];
    if (!cell) throw ValueError(fmt::format("{}: replace needs a cell, got none", name_));
    if (cell->has_cell_state() != before.has_cell_state())
        throw ValueError(fmt::format("{}: {} cannot stand in the place of {}: {} keeps a cell state", name_,
                                     cell->describe(), before.describe(),
                                     before.has_cell_state() ? "only the latter" : "only the former"));
    if (cell->gates() != before.gates())
        throw ValueError(fmt::format("{}: {} cannot stand in the place of {}: their gates are {} and {}", name_,
                                     cell->describe(), before.describe(), cell->gates(), before.gates()));
    if (cell->inputs() != before.inputs() || cell->hidden() != before.hidden())
        throw ShapeError(
            fmt::format("{}: {} cannot stand in the place of {}", name_, cell->describe(), before.describe()));
    return std::exchange(cells_[layer], std::move(cell));
}

void Recurrent::require_input(const Shape& x, const UnrollOptions& options) const {
    const RecurrentCell& first = *cells_.front();
    if (x.size() != 3 || x[2] != first.inputs())
        throw ShapeError(fmt::format("{}: needs [steps, examples, {}], got {}", name_, first.inputs(), to_string(x)));
    if (x[0] == 0) throw ShapeError(fmt::format("{}: needs at least one step, got {}", name_, to_string(x)));
    Shape state{static_cast<std::int64_t>(cells_.size()), x[1], first.hidden()};
    for (Var part : {options.initial.h, options.initial.c})
        if (part && !(part.shape() == state))
            throw ShapeError(fmt::format("{}: the initial state must be {}, got {}", name_, to_string(state),
                                         to_string(part.shape())));
    if (options.initial.c && !first.has_cell_state())
        throw ValueError(fmt::format("{}: has no cell state to begin from", name_));
    if (options.mask.empty()) return;
    if (!(options.mask.shape() == Shape{x[0], x[1]}))
        throw ShapeError(fmt::format("{}: the mask must be {}, got {}", name_, to_string(Shape{x[0], x[1]}),
                                     to_string(options.mask.shape())));
    for (std::int64_t i = 0; i < options.mask.size(); ++i)
        if (double element = options.mask.at(i); element != 0 && element != 1)
            throw ValueError(fmt::format("{}: the mask must be of zeros and ones, got {} at step {} of example {}",
                                         name_, element, i / x[1], i % x[1]));
}

Unrolled Recurrent::unroll_layers(Var x, const RecurrentState& initial, const Steps& steps) {
    require_dtype(x.tape().variable(cells_.front()->weight_ih()), x.dtype());
    Var rows = reshape(x, {steps.count() * steps.examples(), x.shape()[2]});
    if (steps.mask()) rows = where(steps.mask(), rows, 0); // whatever stands in the padding, NaN included
    Unrolled unrolled;
    std::vector<Operand> h, c;
    for (std::size_t layer = 0; layer < cells_.size(); ++layer) {
        RecurrentCell& cell = *cells_[layer];
        Shape shape{steps.examples(), cell.hidden()};
        auto part = [&](Var states) {
            std::int64_t first = static_cast<std::int64_t>(layer);
            return states ? reshape(slice(states, 0, first, first + 1), shape) : x.tape().full(shape, 0, x.dtype());
        };
        if (layer > 0) rows = rows_of(unrolled.h);
        unrolled = cell.unroll(rows, {part(initial.h), cell.has_cell_state() ? part(initial.c) : Var()}, steps);
        h.emplace_back(unrolled.last.h);
        if (unrolled.last.c) c.emplace_back(unrolled.last.c);
    }
    unrolled.last = {stack(h), c.empty() ? Var() : stack(c), unrolled.last.step};
    return unrolled;
}

UnrollResult Recurrent::unroll(Var x, const UnrollOptions& options, Where where) {
    UnrollResult result;
    recorded(x.tape(), where, [&] {
        require_input(x.shape(), options);
        Steps steps(x.tape(), x.shape()[0], x.shape()[1], options.mask, x.dtype(), options.initial.step);
        Unrolled unrolled = unroll_layers(x, options.initial, steps);
        Var rows = rows_of(unrolled.h);
        if (steps.mask()) rows = cotape::where(steps.mask(), rows, 0);
        result = {reshape(rows, {steps.count(), steps.examples(), rows.shape()[1]}), unrolled.last};
    });
    return result;
}

Var Recurrent::forward(Var x) {
    if (!last_step_) return unroll(x).outputs;
    require_input(x.shape(), {});
    return unroll_layers(x, {}, Steps(x.tape(), x.shape()[0], x.shape()[1], {}, x.dtype())).h.back();
}

void Recurrent::visit(Visitor& visitor) {
    for (std::size_t layer = 0; layer < cells_.size(); ++layer) {
        OfLayer shown(visitor, layer);
        cells_[layer]->visit(shown);
    }
}

std::string Recurrent::describe() const {
    const RecurrentCell& first = *cells_.front();
    return fmt::format("{}({} -> {}{}{}{})", name_, first.inputs(), first.hidden(),
                       cells_.size() > 1 ? fmt::format(", {} layers", cells_.size()) : "", first.remarks(),
                       last_step_ ? ", last step" : "");
}

Tensor padding_mask(const std::vector<std::int64_t>& lengths, std::int64_t steps) {
    for (std::int64_t length : lengths)
        if (length < 0 || length > steps)
            throw ValueError(fmt::format("padding_mask: a length must be from 0 to {}, got {}", steps, length));
    std::int64_t examples = static_cast<std::int64_t>(lengths.size());
    return Tensor::make<float>({steps, examples}, [&](std::span<float> mask) {
        for (std::size_t i = 0; i < mask.size(); ++i)
            mask[i] = static_cast<std::int64_t>(i / lengths.size()) < lengths[i % lengths.size()] ? 1.0f : 0.0f;
    });
}

} // namespace cotape::nn

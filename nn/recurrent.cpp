#include <cotape/nn/recurrent.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {
namespace {

/// Shows members under their names with a layer's number behind.
class OfLayer : public Visitor {
  public:
    OfLayer(Visitor& visitor, std::size_t layer, bool from_the_end)
        : visitor_(visitor), ending_(fmt::format("_l{}{}", layer, from_the_end ? "_reverse" : "")) {}
    void operator()(std::string_view name, Parameter& parameter) override { visitor_(named(name), parameter); }
    void operator()(std::string_view name, State& statistic) override { visitor_(named(name), statistic); }
    void operator()(std::string_view name, Module& module) override { visitor_(named(name), module); }

  private:
    std::string named(std::string_view name) const { return std::string(name) + ending_; }

    Visitor& visitor_;
    std::string ending_;
};

Var side_by_side(const std::vector<Var>& directions) {
    return directions.size() == 1 ? directions[0] : concatenate({directions.begin(), directions.end()}, 1);
}

/// The hidden states of all steps, one under the other, those of two directions side by side.
Var rows_of(const std::vector<std::vector<Var>>& directions) {
    std::vector<Var> rows;
    for (const std::vector<Var>& steps : directions) rows.push_back(concatenate({steps.begin(), steps.end()}, 0));
    return side_by_side(rows);
}

/// The rows of `count` steps, the last step's first.
Var backwards(Var rows, std::int64_t count) {
    Tensor from_the_end = Tensor::make<std::int64_t>({count}, [&](std::span<std::int64_t> steps) {
        std::iota(steps.rbegin(), steps.rend(), 0);
    });
    Shape shape = rows.shape();
    Var steps = reshape(rows, {count, shape[0] / count, shape[1]});
    return reshape(take(steps, rows.tape().constant(from_the_end)), shape);
}

Tensor backwards(const Tensor& mask) {
    if (mask.empty()) return mask;
    Tape tape;
    return backwards(tape.constant(mask.as(Dtype::float32)), mask.shape()[0]).value();
}

} // namespace

Recurrent::Recurrent(std::string name, const RecurrentOptions& options, std::mt19937& random)
    : name_(std::move(name)), last_step_(options.last_step), directions_(options.bidirectional ? 2 : 1) {
    if (options.layers < 1)
        throw ValueError(fmt::format("{}: needs at least one layer, got {}", name_, options.layers));
    if (!(options.dropout >= 0 && options.dropout <= 1))
        throw ValueError(fmt::format("{}: dropout must be in [0, 1], got {}", name_, options.dropout));
    if (options.dropout > 0) dropout_.emplace(options.dropout, random);
}

std::unique_ptr<RecurrentCell> Recurrent::replace(std::size_t index, std::unique_ptr<RecurrentCell> cell) {
    if (index >= cells_.size())
        throw ValueError(fmt::format("{}: replace needs one of {} cells, got number {}", name_, cells_.size(), index));
    const RecurrentCell& before = *cells_[index];
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
    return std::exchange(cells_[index], std::move(cell));
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

std::vector<Steps> Recurrent::steps_of(Var x, const UnrollOptions& options) const {
    std::vector<Steps> directions;
    auto add = [&](const Tensor& mask) {
        directions.emplace_back(x.tape(), x.shape()[0], x.shape()[1], mask, x.dtype(), options.initial.step);
    };
    add(options.mask);
    if (directions_ == 2) add(backwards(options.mask));
    return directions;
}

Recurrent::Layers Recurrent::unroll_layers(Var x, const RecurrentState& initial, const std::vector<Steps>& steps) {
    require_dtype(x.tape().variable(cells_.front()->weight_ih()), x.dtype());
    std::int64_t count = steps[0].count(), examples = steps[0].examples();
    Var rows = reshape(x, {count * examples, x.shape()[2]});
    if (steps[0].mask()) rows = where(steps[0].mask(), rows, 0); // whatever stands in the padding, NaN included
    Layers layers{std::vector<std::vector<Var>>(directions_), {}};
    std::vector<Operand> h, c;
    for (std::size_t index = 0; index < cells_.size(); ++index) {
        RecurrentCell& cell = *cells_[index];
        std::size_t direction = index % directions_;
        Shape shape{examples, cell.hidden()};
        auto part = [&](Var states) {
            std::int64_t first = static_cast<std::int64_t>(index);
            return states ? reshape(slice(states, 0, first, first + 1), shape) : x.tape().full(shape, 0, x.dtype());
        };
        if (direction == 0 && index > 0) {
            rows = rows_of(layers.h);
            if (dropout_) rows = (*dropout_)(rows);
        }
        Unrolled unrolled = cell.unroll(direction == 0 ? rows : backwards(rows, count),
                                        {part(initial.h), cell.has_cell_state() ? part(initial.c) : Var()},
                                        steps[direction]);
        if (direction == 1) std::ranges::reverse(unrolled.h);
        layers.h[direction] = std::move(unrolled.h);
        layers.last.step = unrolled.last.step;
        h.emplace_back(unrolled.last.h);
        if (unrolled.last.c) c.emplace_back(unrolled.last.c);
    }
    layers.last.h = stack(h);
    if (!c.empty()) layers.last.c = stack(c);
    return layers;
}

UnrollResult Recurrent::unroll(Var x, const UnrollOptions& options, Where where) {
    UnrollResult result;
    recorded(x.tape(), where, [&] {
        require_input(x.shape(), options);
        std::vector<Steps> steps = steps_of(x, options);
        Layers layers = unroll_layers(x, options.initial, steps);
        Var rows = rows_of(layers.h);
        if (steps[0].mask()) rows = cotape::where(steps[0].mask(), rows, 0);
        result = {reshape(rows, {x.shape()[0], x.shape()[1], rows.shape()[1]}), layers.last};
    });
    return result;
}

Var Recurrent::forward(Var x) {
    if (!last_step_) return unroll(x).outputs;
    require_input(x.shape(), {});
    std::vector<Var> outputs;
    for (const std::vector<Var>& h : unroll_layers(x, {}, steps_of(x, {})).h) outputs.push_back(h.back());
    return side_by_side(outputs);
}

void Recurrent::visit(Visitor& visitor) {
    for (std::size_t index = 0; index < cells_.size(); ++index) {
        OfLayer shown(visitor, index / directions_, index % directions_ == 1);
        cells_[index]->visit(shown);
    }
    if (dropout_) visitor("dropout", *dropout_);
}

std::string Recurrent::describe() const {
    const RecurrentCell& first = *cells_.front();
    std::size_t layers = cells_.size() / directions_;
    return fmt::format("{}({} -> {}{}{}{}{})", name_, first.inputs(), first.hidden(),
                       layers > 1 ? fmt::format(", {} layers", layers) : "", first.remarks(),
                       directions_ == 2 ? ", bidirectional" : "", last_step_ ? ", last step" : "");
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

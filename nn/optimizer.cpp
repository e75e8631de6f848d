#include <cotape/nn/optimizer.hpp>

#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/reductions.hpp>

namespace cotape::nn {

Optimizer::Optimizer(std::string name, Module& model, double learning_rate, std::vector<std::string> state_names)
    : name_(std::move(name)), state_names_(std::move(state_names)) {
    set_learning_rate(learning_rate);
    for (Named<Parameter>& parameter : model.parameters()) {
        Slot slot{std::move(parameter), {}, 0};
        const Type& type = slot.parameter.state.type();
        for (std::size_t i = 0; i < state_names_.size(); ++i)
            slot.states.emplace_back(Tensor::full(type.shape, 0, type.dtype));
        slots_.push_back(std::move(slot));
    }
    if (slots_.empty())
        throw ValueError(fmt::format("{}: the model has no parameters; its visit must show them", name_));
}

void Optimizer::require(bool holds, const char* option, const char* required, double arrived) const {
    if (!holds) throw ValueError(fmt::format("{}: {} must be {}, got {}", name_, option, required, arrived));
}

void Optimizer::set_learning_rate(double rate) {
    require(rate >= 0 && std::isfinite(rate), "learning_rate", "finite and not negative", rate);
    learning_rate_ = rate;
}

std::vector<Named<State>> Optimizer::state() const {
    std::vector<Named<State>> list;
    for (const Slot& slot : slots_)
        for (std::size_t i = 0; i < slot.states.size(); ++i)
            list.push_back({fmt::format("{}.{}", slot.parameter.path, state_names_[i]), slot.states[i]});
    return list;
}

Var Optimizer::input(Tape& tape, double number, Dtype dtype) { return tape.constant(Tensor(number, dtype)); }

void Optimizer::step(Var loss, const StepOptions& options, Where where) {
    Tape& tape = loss.tape();
    if (!loss.shape().empty())
        throw ShapeError(fmt::format("{}: the loss must be a scalar, got {}", name_, to_string(loss.shape())));
    Tape::Transaction transaction(tape);
    LineScope line(Operand(loss, where));

    std::vector<Var> parameters;
    for (const Slot& slot : slots_) parameters.push_back(tape.variable(slot.parameter.state));
    Var one = tape.full({}, 1, loss.dtype());
    std::vector<Var> found = cotangents({&loss, 1}, {&one, 1}, parameters);

    std::vector<Slot*> moving;
    std::vector<Var> values, gradients;
    std::string missing;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (!found[i]) {
            missing += (missing.empty() ? "" : ", ") + slots_[i].parameter.path;
            continue;
        }
        moving.push_back(&slots_[i]);
        values.push_back(parameters[i]);
        gradients.push_back(found[i]);
    }
    if (!missing.empty() && !options.allow_missing)
        throw ValueError(fmt::format("{}: the loss does not depend on {}", name_, missing));

    if (options.clip_value) gradients = clip_by_value(gradients, *options.clip_value);
    if (options.clip_norm) gradients = clip_by_norm(gradients, *options.clip_norm);
    ++steps_;
    for (Slot* slot : moving) ++slot->steps;
    try {
        for (std::size_t i = 0; i < moving.size(); ++i) {
            Var rate = input(tape, learning_rate_, values[i].dtype());
            tape.propose(moving[i]->parameter.state, update(*moving[i], values[i], gradients[i], rate));
        }
        commit(tape, {&loss, 1});
    } catch (...) {
        --steps_;
        for (Slot* slot : moving) --slot->steps;
        throw;
    }
    transaction.keep();
}

std::vector<Var> clip_by_norm(const std::vector<Var>& gradients, double limit, Where where) {
    if (!(limit > 0)) throw ValueError(fmt::format("clip_by_norm: the limit must be positive, got {}", limit));
    if (gradients.empty()) return gradients;
    LineScope line(Operand(gradients[0], where));
    Var largest, squares;
    for (Var gradient : gradients) {
        if (element_count(gradient.shape()) == 0) continue;
        Var most = max(abs(gradient));
        largest = largest ? maximum(largest, most) : most;
    }
    if (!largest) return gradients;
    largest = cotape::where(equal(largest, 0), 1, largest);
    std::vector<Var> scaled;
    for (Var gradient : gradients) {
        scaled.push_back(gradient / largest); // their squares do not overflow
        Var squared = sum(square(scaled.back()));
        squares = squares ? squares + squared : squared;
    }
    Var norm = sqrt(squares), within = less_equal(norm, limit / largest);
    std::vector<Var> clipped;
    for (std::size_t i = 0; i < gradients.size(); ++i)
        clipped.push_back(cotape::where(within, gradients[i], scaled[i] * (limit / norm)));
    return clipped;
}

std::vector<Var> clip_by_value(const std::vector<Var>& gradients, double limit, Where where) {
    if (!(limit > 0)) throw ValueError(fmt::format("clip_by_value: the limit must be positive, got {}", limit));
    std::vector<Var> clipped;
    for (Var gradient : gradients) clipped.push_back(clamp(Operand(gradient, where), -limit, limit));
    return clipped;
}

} // namespace cotape::nn

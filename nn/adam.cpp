#include <cotape/nn/adam.hpp>

#include <cmath>

#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>

namespace cotape::nn {

Adam::Adam(std::string name, bool decoupled_decay, Module& model, const AdamOptions& options)
    : Optimizer(std::move(name), model, options.learning_rate, {"first_moment", "second_moment"}), options_(options),
      decoupled_decay_(decoupled_decay) {
    require(options.beta1 >= 0 && options.beta1 < 1, "beta1", "in [0, 1)", options.beta1);
    require(options.beta2 >= 0 && options.beta2 < 1, "beta2", "in [0, 1)", options.beta2);
    require(options.epsilon >= 0, "epsilon", "at least 0", options.epsilon);
    require(options.weight_decay >= 0, "weight_decay", "at least 0", options.weight_decay);
}

Var Adam::update(const Slot& slot, Var parameter, Var gradient, Var rate) {
    Tape& tape = parameter.tape();
    double decay = options_.weight_decay, t = static_cast<double>(slot.steps);
    if (decay != 0 && decoupled_decay_) parameter = parameter * (1 - rate * decay);
    if (decay != 0 && !decoupled_decay_) gradient = gradient + decay * parameter;

    Var first = options_.beta1 * tape.variable(slot.states[0]) + (1 - options_.beta1) * gradient;
    Var second = options_.beta2 * tape.variable(slot.states[1]) + (1 - options_.beta2) * square(gradient);
    tape.propose(slot.states[0], first, {.in_place = true});
    tape.propose(slot.states[1], second, {.in_place = true});

    Var first_correction = input(tape, 1 - std::pow(options_.beta1, t), parameter.dtype());
    Var root_correction = input(tape, std::sqrt(1 - std::pow(options_.beta2, t)), parameter.dtype());
    return parameter - rate / first_correction * (first / (sqrt(second) / root_correction + options_.epsilon));
}

} // namespace cotape::nn

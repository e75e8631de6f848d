#include <cotape/nn/rmsprop.hpp>

#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>

namespace cotape::nn {

RmsProp::RmsProp(Module& model, const RmsPropOptions& options)
    : Optimizer("RmsProp", model, options.learning_rate,
                options.momentum == 0 ? std::vector<std::string>{"mean_square"}
                                      : std::vector<std::string>{"mean_square", "momentum"}),
      options_(options) {
    require(options.decay >= 0 && options.decay < 1, "decay", "in [0, 1)", options.decay);
    require(options.epsilon >= 0, "epsilon", "at least 0", options.epsilon);
    require(options.momentum >= 0 && options.momentum < 1, "momentum", "in [0, 1)", options.momentum);
    require(options.weight_decay >= 0, "weight_decay", "at least 0", options.weight_decay);
}

Var RmsProp::update(const Slot& slot, Var parameter, Var gradient, Var rate) {
    Tape& tape = parameter.tape();
    if (options_.weight_decay != 0) gradient = gradient + options_.weight_decay * parameter;
    Var mean_square = options_.decay * tape.variable(slot.states[0]) + (1 - options_.decay) * square(gradient);
    tape.propose(slot.states[0], mean_square, {.in_place = true});
    Var step = gradient / (sqrt(mean_square) + options_.epsilon);
    if (options_.momentum != 0) {
        step = options_.momentum * tape.variable(slot.states[1]) + step;
        tape.propose(slot.states[1], step, {.in_place = true});
    }
    return parameter - rate * step;
}

} // namespace cotape::nn

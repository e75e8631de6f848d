#include <cotape/nn/sgd.hpp>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>

namespace cotape::nn {

Sgd::Sgd(Module& model, const SgdOptions& options)
    : Optimizer("Sgd", model, options.learning_rate,
                options.momentum == 0 ? std::vector<std::string>{} : std::vector<std::string>{"momentum"}),
      options_(options) {
    require(options.momentum >= 0 && options.momentum < 1, "momentum", "in [0, 1)", options.momentum);
    require(options.weight_decay >= 0, "weight_decay", "at least 0", options.weight_decay);
    if (options.nesterov && options.momentum == 0) throw ValueError("Sgd: nesterov needs a momentum above 0, got 0");
}

Var Sgd::update(const Slot& slot, Var parameter, Var gradient, Var rate) {
    Var step = options_.weight_decay == 0 ? gradient : gradient + options_.weight_decay * parameter;
    if (options_.momentum > 0) {
        Tape& tape = parameter.tape();
        Var velocity = options_.momentum * tape.variable(slot.states[0]) + step;
        tape.propose(slot.states[0], velocity, {.in_place = true});
        step = options_.nesterov ? step + options_.momentum * velocity : velocity;
    }
    return parameter - rate * step;
}

} // namespace cotape::nn

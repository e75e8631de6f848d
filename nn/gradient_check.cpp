#include <cotape/nn/gradient_check.hpp>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>

namespace cotape::nn {

GradientCheckReport check_gradients(Module& net, const Tensor& x, const std::function<Var(Var)>& loss,
                                    const GradientCheckOptions& options) {
    if (!loss) throw ValueError("nn::check_gradients: needs a loss, got none");
    std::vector<Named<Parameter>> parameters = net.parameters();
    std::vector<Named<State>> statistics = net.statistics();
    std::vector<Tensor> inputs{x.as(Dtype::float64)};
    GradientCheckOptions named = options;
    named.input_names = {"x"};
    for (const Named<Parameter>& parameter : parameters) {
        inputs.push_back(parameter.state.value().as(Dtype::float64));
        named.input_names.push_back(parameter.path);
    }

    auto function = [&](const std::vector<Var>& vars) {
        Tape& tape = vars[0].tape();
        for (std::size_t i = 0; i < parameters.size(); ++i) tape.bind(parameters[i].state, vars[i + 1]);
        for (const Named<State>& statistic : statistics)
            tape.bind(statistic.state, tape.constant(statistic.state.value().as(Dtype::float64)));
        return loss(net(vars[0]));
    };
    return cotape::check_gradients(function, inputs, named);
}

} // namespace cotape::nn

#include <cotape/nn/sequential.hpp>

namespace cotape::nn {

void Sequential::visit(Visitor& visitor) {
    for (std::size_t i = 0; i < modules_.size(); ++i) visitor(std::to_string(i), *modules_[i]);
}

Var Sequential::forward(Var x) {
    for (const std::unique_ptr<Module>& module : modules_) x = (*module)(x);
    return x;
}

} // namespace cotape::nn

#include <cotape/nn/along_channels.hpp>

#include <cotape/ops/shaping.hpp>

namespace cotape::nn {

Var along_channels(Var state, const Shape& x) {
    Shape shape(x.size(), 1);
    shape[1] = x[1];
    return reshape(state, shape);
}

} // namespace cotape::nn

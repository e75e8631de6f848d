#include <cotape/ops/floating_type.hpp>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape {

void require_floating(Dtype dtype, const std::string& operation) {
    if (!is_floating(dtype))
        throw DtypeError(fmt::format("{}: needs float32 or float64, got {}", operation, to_string(dtype)));
}

Type floating_type(const Call& call) {
    require_floating(call.type(0).dtype, call.name());
    return call.type(0);
}

} // namespace cotape

#pragma once

#include <string>

#include <cotape/core/op.hpp>

namespace cotape {

/// Throws DtypeError, naming `operation`, for elements that are not floating.
void require_floating(Dtype dtype, const std::string& operation);

/// The type of the first input: the shape rule of ops that keep it. Throws as require_floating.
Type floating_type(const Call& call);

} // namespace cotape

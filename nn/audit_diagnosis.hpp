#pragma once

#include <cotape/nn/audit.hpp>

namespace cotape::nn {

/// Compares the running statistics of `normalizer` with the exact ones of `layer`, and says what is wrong.
NormalizerAudit audit_of(const Normalizer& normalizer, const PopulationStatistics::Layer& layer);

} // namespace cotape::nn

#pragma once

#include <cstdint>
#include <functional>

namespace cotape::nn {

/// A learning rate for each step, counted from 0: `optimizer.set_learning_rate(schedule(optimizer.steps()))`.
using Schedule = std::function<double(std::int64_t step)>;

/// `rate`, multiplied by `factor` after every `every` steps. Throws ValueError unless every > 0.
Schedule step_schedule(double rate, double factor, std::int64_t every);

/// Half a cosine from `rate` down to `lowest` over `steps` steps, then `lowest` (Loshchilov and Hutter 2017).
/// Throws ValueError unless steps > 0.
Schedule cosine_schedule(double rate, std::int64_t steps, double lowest = 0);

/// `schedule` preceded by `steps` steps that rise linearly to its first rate. Throws ValueError unless steps > 0.
Schedule with_warm_up(Schedule schedule, std::int64_t steps);

} // namespace cotape::nn

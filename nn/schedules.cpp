#include <cotape/nn/schedules.hpp>

#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape::nn {
namespace {

void require_positive(const char* schedule, const char* option, std::int64_t value) {
    if (value < 1) throw ValueError(fmt::format("{}: {} must be positive, got {}", schedule, option, value));
}

} // namespace

Schedule step_schedule(double rate, double factor, std::int64_t every) {
    require_positive("step_schedule", "every", every);
    return [=](std::int64_t step) { return rate * std::pow(factor, static_cast<double>(step / every)); };
}

Schedule cosine_schedule(double rate, std::int64_t steps, double lowest) {
    require_positive("cosine_schedule", "steps", steps);
    return [=](std::int64_t step) {
        if (step >= steps) return lowest;
        double progress = static_cast<double>(step) / static_cast<double>(steps);
        return lowest + (rate - lowest) * (1 + std::cos(std::numbers::pi * progress)) / 2;
    };
}

Schedule with_warm_up(Schedule schedule, std::int64_t steps) {
    require_positive("with_warm_up", "steps", steps);
    if (!schedule) throw ValueError("with_warm_up: needs a schedule to come after, got none");
    return [schedule = std::move(schedule), steps](std::int64_t step) {
        if (step >= steps) return schedule(step - steps);
        return schedule(0) * static_cast<double>(step + 1) / static_cast<double>(steps);
    };
}

} // namespace cotape::nn

#include <cotape/core/cpu.hpp>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape {
namespace {

CpuLevel offered_level() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        return CpuLevel::avx512;
    if (__builtin_cpu_supports("avx2")) return CpuLevel::avx2;
#endif
    return CpuLevel::baseline;
}

CpuLevel chosen_level() {
    const char* choice = std::getenv("COTAPE_INSTRUCTION_SET");
    if (!choice || std::string_view(choice) == "avx512") return CpuLevel::avx512;
    if (std::string_view(choice) == "avx2") return CpuLevel::avx2;
    if (std::string_view(choice) == "baseline") return CpuLevel::baseline;
    throw ValueError(fmt::format("cpu_level: COTAPE_INSTRUCTION_SET must be baseline, avx2 or avx512, got {}", choice));
}

} // namespace

CpuLevel cpu_level() {
    static const CpuLevel level = std::min(offered_level(), chosen_level());
    return level;
}

} // namespace cotape

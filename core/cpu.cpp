#include <cotape/core/cpu.hpp>

namespace cotape {

CpuLevel cpu_level() {
#if defined(__x86_64__)
    static const CpuLevel level = [] {
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
            return CpuLevel::avx512;
        return __builtin_cpu_supports("avx2") ? CpuLevel::avx2 : CpuLevel::baseline;
    }();
    return level;
#else
    return CpuLevel::baseline;
#endif
}

} // namespace cotape

// Debian 12's OpenBLAS takes CPUs that are newer than itself for old ones and multiplies with kernels for SSE3. Prints
// the core to set OPENBLAS_CORETYPE to where that has happened, and nothing where the core is good.

#include <cstdio>
#include <string_view>

extern "C" char* openblas_get_corename();

int main() {
#if defined(__x86_64__)
    std::string_view core = openblas_get_corename();
    for (std::string_view good : {"Haswell", "Zen", "Excavator", "SkylakeX", "Cooperlake", "SapphireRapids"})
        if (core == good) return 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        std::puts("SkylakeX");
    else if (__builtin_cpu_supports("avx2"))
        std::puts("Haswell");
#endif
}

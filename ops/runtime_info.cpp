#include <cotape/ops/runtime_info.hpp>

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>
#include <omp.h>

#if COTAPE_ONEDNN
#include <dnnl.h>
#endif

#include <cotape/core/cpu.hpp>

extern "C" char* openblas_get_corename();
extern "C" char* openblas_get_config();

namespace cotape {
namespace {

const char* name_of(CpuLevel level) {
    switch (level) {
    case CpuLevel::avx512: return "AVX-512";
    case CpuLevel::avx2: return "AVX2";
    case CpuLevel::baseline: break;
    }
    return "baseline";
}

/// "OpenBLAS 0.3.21": the first two words of its configuration.
std::string blas_version() {
    std::string_view config = openblas_get_config();
    return std::string(config.substr(0, config.find(' ', config.find(' ') + 1)));
}

} // namespace

std::string blas_remedy() {
    constexpr std::array<std::string_view, 8> without_avx{"Katmai", "Coppermine", "Northwood", "Prescott",
                                                          "Core2",  "Penryn",     "Nehalem",   "Atom"};
    bool mistaken = cpu_level() != CpuLevel::baseline &&
                    std::ranges::find(without_avx, std::string_view(openblas_get_corename())) != without_avx.end();
    if (!mistaken) return "";
    return fmt::format("export OPENBLAS_CORETYPE={}", cpu_level() == CpuLevel::avx512 ? "SkylakeX" : "Haswell");
}

std::string runtime_info() {
    std::string text = fmt::format("instruction set: {}\nthreads: {}\n", name_of(cpu_level()), omp_get_max_threads());
#if COTAPE_ONEDNN
    const dnnl_version_t* version = dnnl_version();
    text += fmt::format("float32 products: oneDNN {}.{}.{}\n", version->major, version->minor, version->patch);
#else
    text += fmt::format("float32 products: {}\n", blas_version());
#endif
    return text + fmt::format("float64 products: {}, core {}\n", blas_version(), openblas_get_corename());
}

} // namespace cotape

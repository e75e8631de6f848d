#include "surroundings.hpp"

#include <omp.h>

#include <cotape/core/cpu.hpp>
#include <cotape/ops/gemm.hpp>

std::vector<std::pair<std::string, std::string>> surroundings() {
    constexpr const char* levels[] = {"x86-64 baseline", "AVX2", "AVX-512"};
    return {
        {"matrix products", cotape::gemm_description()},
        {"instruction set", levels[static_cast<int>(cotape::cpu_level())]},
        {"threads", std::to_string(omp_get_max_threads())},
    };
}

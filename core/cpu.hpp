#pragma once

namespace cotape {

/// The instruction sets that loops are compiled for. None of them contracts products into sums, so that all give the
/// same bits.
enum class CpuLevel { baseline, avx2, avx512 };

/// The best one that the running CPU offers, or a lesser one that the environment variable COTAPE_INSTRUCTION_SET
/// names: baseline, avx2 or avx512. Throws ValueError for any other name.
CpuLevel cpu_level();

namespace detail {
#if defined(__x86_64__)
template <class Body>
[[gnu::target("avx2")]] void run_avx2(const Body& body) {
    body();
}
template <class Body>
[[gnu::target("avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")]] void run_avx512(const Body& body) {
    body();
}
#endif
} // namespace detail

/// Runs `body` compiled for the running CPU. `body` is a lambda marked `__attribute__((always_inline))`, which holds
/// the loops themselves.
template <class Body>
void run_vectorized(const Body& body) {
#if defined(__x86_64__)
    switch (cpu_level()) {
    case CpuLevel::avx512: return detail::run_avx512(body);
    case CpuLevel::avx2: return detail::run_avx2(body);
    case CpuLevel::baseline: break;
    }
#endif
    body();
}

} // namespace cotape

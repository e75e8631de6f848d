#include <cotape/ops/gemm.hpp>

#include <algorithm>
#include <string>

#include <fmt/format.h>

#if COTAPE_ONEDNN
#include <dnnl.h>
#endif

#include <xtensor-blas/xblas.hpp>

#include <cotape/ops/runtime_info.hpp>

namespace cotape {
namespace {

void warn_once_of_slow_blas() {
    static const bool warned = [] {
        std::string remedy = blas_remedy();
        if (!remedy.empty())
            fmt::print(stderr, "cotape: OpenBLAS takes this CPU for an old one, and is slow; mend it with: {}\n", remedy);
        return true;
    }();
    static_cast<void>(warned);
}

template <class T>
void run_blas(const Gemm<T>& gemm) {
    warn_once_of_slow_blas();
    using Index = xt::blas_index_t;
    auto transposed = [](bool is) { return is ? cxxblas::Transpose::Trans : cxxblas::Transpose::NoTrans; };
    cxxblas::gemm<Index>(cxxblas::StorageOrder::RowMajor, transposed(gemm.transpose_a), transposed(gemm.transpose_b),
                         static_cast<Index>(gemm.m), static_cast<Index>(gemm.n), static_cast<Index>(gemm.k), T(1),
                         gemm.a, static_cast<Index>(gemm.transpose_a ? gemm.m : gemm.k), gemm.b,
                         static_cast<Index>(gemm.transpose_b ? gemm.k : gemm.n), T(0), gemm.c,
                         static_cast<Index>(gemm.n));
}

/// Products with no terms are zero, and the libraries refuse leading dimensions of 0.
template <class T>
bool is_trivial(const Gemm<T>& gemm) {
    if (gemm.k == 0) std::fill_n(gemm.c, gemm.m * gemm.n, T(0));
    return gemm.m == 0 || gemm.n == 0 || gemm.k == 0;
}

} // namespace

void run(const Gemm<float>& gemm) {
    if (is_trivial(gemm)) return;
#if COTAPE_ONEDNN
    dnnl_sgemm(gemm.transpose_a ? 'T' : 'N', gemm.transpose_b ? 'T' : 'N', gemm.m, gemm.n, gemm.k, 1, gemm.a,
               gemm.transpose_a ? gemm.m : gemm.k, gemm.b, gemm.transpose_b ? gemm.k : gemm.n, 0, gemm.c, gemm.n);
#else
    run_blas(gemm);
#endif
}

void run(const Gemm<double>& gemm) {
    if (!is_trivial(gemm)) run_blas(gemm);
}

} // namespace cotape

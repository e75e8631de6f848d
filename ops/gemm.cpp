#include <cotape/ops/gemm.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <omp.h>

#if COTAPE_ONEDNN
#include <dnnl.hpp>
#endif

#include <xtensor-blas/xblas.hpp>

#include <cotape/core/cpu.hpp>
#include <cotape/core/failure.hpp>
#include <cotape/ops/matrix_vector.hpp>
#include <cotape/ops/runtime_info.hpp>

namespace cotape {
namespace {

void warn_once_of_slow_blas() {
    static const bool warned = [] {
        std::string remedy = blas_remedy();
        if (!remedy.empty())
            fmt::print(stderr, "cotape: OpenBLAS takes this CPU for an old one, and is slow; mend it with: {}\n",
                       remedy);
        return true;
    }();
    static_cast<void>(warned);
}

template <class T>
void run_blas(const Gemm<T>& gemm) {
    warn_once_of_slow_blas();
    using Index = xt::blas_index_t;
    auto transposed = [](bool is) { return is ? cxxblas::Transpose::Trans : cxxblas::Transpose::NoTrans; };
    if (bool row = gemm.m == 1 && !gemm.transpose_b; row || (gemm.n == 1 && gemm.transpose_a)) {
        std::int64_t columns = gemm.m * gemm.n;
        cxxblas::gemv<Index>(cxxblas::StorageOrder::RowMajor, cxxblas::Transpose::Trans, static_cast<Index>(gemm.k),
                             static_cast<Index>(columns), T(1), row ? gemm.b : gemm.a, static_cast<Index>(columns),
                             row ? gemm.a : gemm.b, Index(1), T(0), gemm.c, Index(1));
        return;
    }
    cxxblas::gemm<Index>(cxxblas::StorageOrder::RowMajor, transposed(gemm.transpose_a), transposed(gemm.transpose_b),
                         static_cast<Index>(gemm.m), static_cast<Index>(gemm.n), static_cast<Index>(gemm.k), T(1),
                         gemm.a, static_cast<Index>(gemm.transpose_a ? gemm.m : gemm.k), gemm.b,
                         static_cast<Index>(gemm.transpose_b ? gemm.k : gemm.n), T(0), gemm.c,
                         static_cast<Index>(gemm.n));
}

#if COTAPE_ONEDNN
/// oneDNN's products by shape, made once, since making one costs as much as running it hundreds of times. Each thread
/// has its own.
class Products {
  public:
    void run(const Gemm<float>& gemm) {
        Product& product = find(gemm);
        product.a.set_data_handle(const_cast<float*>(gemm.a));
        product.b.set_data_handle(const_cast<float*>(gemm.b));
        product.c.set_data_handle(gemm.c);
        product.primitive.execute(stream_, {{DNNL_ARG_SRC, product.a}, {DNNL_ARG_WEIGHTS, product.b},
                                            {DNNL_ARG_DST, product.c}});
        stream_.wait();
    }

  private:
    static constexpr std::size_t most_products = 256;
    using Key = std::array<std::int64_t, 6>;
    struct Product {
        dnnl::matmul primitive;
        dnnl::memory a, b, c;
    };

    Product& find(const Gemm<float>& gemm) {
        int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
        Key key{gemm.transpose_a, gemm.transpose_b, gemm.m, gemm.n, gemm.k, threads};
        if (auto found = products_.find(key); found != products_.end()) return found->second;
        if (products_.size() == most_products) products_.clear();
        auto matrix = [](std::int64_t rows, std::int64_t columns, bool transposed) {
            dnnl::memory::dims strides = transposed ? dnnl::memory::dims{1, rows} : dnnl::memory::dims{columns, 1};
            return dnnl::memory::desc({rows, columns}, dnnl::memory::data_type::f32, strides);
        };
        dnnl::memory::desc a = matrix(gemm.m, gemm.k, gemm.transpose_a), b = matrix(gemm.k, gemm.n, gemm.transpose_b),
                           c = matrix(gemm.m, gemm.n, false);
        dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), engine_);
        auto place = [&](const dnnl::memory::desc& desc) { return dnnl::memory(desc, engine_, DNNL_MEMORY_NONE); };
        Product product{dnnl::matmul(description), place(a), place(b), place(c)};
        return products_.emplace(key, std::move(product)).first->second;
    }

    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    std::map<Key, Product> products_;
};

/// oneDNN's matmul is faster where B is transposed, its sgemm elsewhere: for products with so few rows, which are bound
/// by reading B once, and for small ones too.
constexpr std::int64_t few_rows = 8, few_terms = 1 << 17;

/// How far apart the rows of A and of B begin.
struct Distances {
    std::int64_t a, b;
};

void run_onednn(const Gemm<float>& gemm, const Distances& distances) {
    if (gemm.transpose_b && gemm.m > few_rows && gemm.m * gemm.n * gemm.k >= few_terms) {
        thread_local Products products;
        return products.run(gemm);
    }
    dnnl_sgemm(gemm.transpose_a ? 'T' : 'N', gemm.transpose_b ? 'T' : 'N', gemm.m, gemm.n, gemm.k, 1, gemm.a,
               distances.a, gemm.b, distances.b, 0, gemm.c, gemm.n);
}

/// Where B stays in each thread's cache, threads share out the rows of A and C, as they do those of the groups before
/// and after: each finds its rows of A in its own cache, and leaves those of C there.
constexpr std::int64_t most_elements_of_b = 256 * 1024, least_rows_of_thread = 16;

void run_by_rows(const Gemm<float>& gemm, const Distances& distances) {
    std::int64_t threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    bool small = gemm.m * gemm.n * gemm.k < few_terms || gemm.m < least_rows_of_thread * threads;
    if (threads == 1 || small || gemm.transpose_a || gemm.n * gemm.k > most_elements_of_b)
        return run_onednn(gemm, distances);
    std::int64_t rows = (gemm.m + threads - 1) / threads;
    Failure failure;
#pragma omp parallel for schedule(static)
    for (std::int64_t first = 0; first < gemm.m; first += rows)
        failure.attempt([&] {
            run_onednn({false, gemm.transpose_b, std::min(rows, gemm.m - first), gemm.n, gemm.k,
                        gemm.a + first * gemm.k, gemm.b, gemm.c + first * gemm.n},
                       distances);
        });
    failure.rethrow();
}

/// Rows that begin a multiple of so many elements apart collide in the first-level cache where oneDNN's kernels for
/// AVX2 go down their columns; those for AVX-512, and those for large matrices, copy them. Here matrices of up to so
/// many elements are copied, where each is read for so many rows or columns of the product.
constexpr std::int64_t colliding_distance = 256, most_spread = 1 << 18, least_reuse = 64;
constexpr std::int64_t elements_of_cache_line = 16;

/// Copies a matrix with as many rows as there are terms to where its rows do not collide.
void spread(const float*& matrix, std::int64_t rows, std::int64_t& distance, std::vector<float>& copy) {
    std::int64_t columns = distance;
    if (columns % colliding_distance != 0 || rows * columns > most_spread) return;
    distance += elements_of_cache_line;
    copy.resize(std::max(copy.size(), static_cast<std::size_t>(rows * distance)));
    float* to = copy.data();
#pragma omp parallel for if (rows * columns >= few_terms)
    for (std::int64_t row = 0; row < rows; ++row) std::copy_n(matrix + row * columns, columns, to + row * distance);
    matrix = to;
}

void run_without_collisions(Gemm<float> gemm) {
    Distances distances{gemm.transpose_a ? gemm.m : gemm.k, gemm.transpose_b ? gemm.k : gemm.n};
    thread_local std::vector<float> copy_of_a, copy_of_b;
    if (cpu_level() == CpuLevel::avx2 && !gemm.transpose_b && gemm.k >= least_reuse) {
        if (gemm.transpose_a && gemm.n >= least_reuse) spread(gemm.a, gemm.k, distances.a, copy_of_a);
        if (gemm.m >= least_reuse) spread(gemm.b, gemm.k, distances.b, copy_of_b);
    }
    run_by_rows(gemm, distances);
}
#endif

/// Products with no terms are zero, and the libraries refuse leading dimensions of 0.
template <class T>
bool is_trivial(const Gemm<T>& gemm) {
    if (gemm.k == 0) std::fill_n(gemm.c, gemm.m * gemm.n, T(0));
    return gemm.m == 0 || gemm.n == 0 || gemm.k == 0;
}

/// A vector by a matrix whose rows it multiplies. It is bound by reading the matrix once: of 784 x 512 elements floats
/// take 15 us, 18 by oneDNN's sgemm, 98 by OpenBLAS's gemm; doubles 28 us, 36 by OpenBLAS's gemv, 103 by its gemm.
template <class T>
bool run_as_vector(const Gemm<T>& gemm) {
    if (gemm.m == 1 && (gemm.transpose_b || gemm.n == 1))
        multiply_vector(gemm.b, gemm.a, gemm.c, gemm.n, gemm.k);
    else if (gemm.n == 1 && !gemm.transpose_a)
        multiply_vector(gemm.a, gemm.b, gemm.c, gemm.m, gemm.k);
    else
        return false;
    return true;
}

} // namespace

void run(const Gemm<float>& gemm) {
    if (is_trivial(gemm) || run_as_vector(gemm)) return;
#if COTAPE_ONEDNN
    run_without_collisions(gemm);
#else
    run_blas(gemm);
#endif
}

void run(const Gemm<double>& gemm) {
    if (!is_trivial(gemm) && !run_as_vector(gemm)) run_blas(gemm);
}

} // namespace cotape

#include <cotape/ops/lapack.hpp>

#include <algorithm>

#include <xtensor-blas/xblas.hpp>
#include <xtensor-blas/xblas_config.hpp>
#include <xflens/cxxlapack/cxxlapack.cxx>

#include <cotape/core/error.hpp>

namespace cotape::lapack {
namespace {

using Index = xt::blas_index_t;

/// LAPACK refuses leading dimensions of 0.
Index leading(std::int64_t n) { return static_cast<Index>(std::max<std::int64_t>(1, n)); }

} // namespace

// LAPACK's matrices are column-major: what it sees here are the transposes.

template <class T>
Lu<T>::Lu(const T* a, std::int64_t n) : n_(n), factors_(a, a + n * n), exchanges_(static_cast<std::size_t>(n)) {
    if (n == 0) return;
    Index size = static_cast<Index>(n);
    zero_pivot_ = cxxlapack::getrf<Index>(size, size, factors_.data(), size, exchanges_.data()) - 1;
}

template <class T>
int Lu<T>::sign() const {
    int sign = 1;
    for (std::int64_t i = 0; i < n_; ++i)
        if (exchanges_[static_cast<std::size_t>(i)] != i + 1) sign = -sign;
    return sign;
}

template <class T>
void Lu<T>::solve(T* b, std::int64_t columns, bool transposed) const {
    if (n_ == 0 || columns == 0) return;
    std::vector<T> by_columns(static_cast<std::size_t>(n_ * columns));
    for (std::int64_t i = 0; i < n_; ++i)
        for (std::int64_t j = 0; j < columns; ++j)
            by_columns[static_cast<std::size_t>(j * n_ + i)] = b[i * columns + j];
    cxxlapack::getrs<Index>(transposed ? 'N' : 'T', static_cast<Index>(n_), static_cast<Index>(columns),
                            factors_.data(), static_cast<Index>(n_), exchanges_.data(), by_columns.data(),
                            static_cast<Index>(n_));
    for (std::int64_t i = 0; i < n_; ++i)
        for (std::int64_t j = 0; j < columns; ++j)
            b[i * columns + j] = by_columns[static_cast<std::size_t>(j * n_ + i)];
}

template <class T>
std::int64_t cholesky(T* a, std::int64_t n) {
    return n == 0 ? 0 : cxxlapack::potrf<Index>('U', static_cast<Index>(n), a, leading(n));
}

template <class T>
void solve_triangular(const T* a, std::int64_t n, T* b, std::int64_t columns, bool upper, bool transposed,
                      bool unitriangular) {
    if (n == 0 || columns == 0) return;
    cxxblas::trsm<Index>(cxxblas::StorageOrder::RowMajor, cxxblas::Side::Left,
                         upper ? cxxblas::StorageUpLo::Upper : cxxblas::StorageUpLo::Lower,
                         transposed ? cxxblas::Transpose::Trans : cxxblas::Transpose::NoTrans,
                         unitriangular ? cxxblas::Diag::Unit : cxxblas::Diag::NonUnit, static_cast<Index>(n),
                         static_cast<Index>(columns), T(1), a, leading(n), b, leading(columns));
}

Svd::Svd(std::span<const double> a, std::int64_t n)
    : p(a.size()), s(static_cast<std::size_t>(n)), q_transposed(a.size()) {
    if (n == 0) return;
    Index size = static_cast<Index>(n);
    std::vector<double> copy(a.begin(), a.end()), work(1);
    auto decompose = [&](Index length) {
        return cxxlapack::gesvd<Index>('A', 'A', size, size, copy.data(), size, s.data(), q_transposed.data(), size,
                                       p.data(), size, work.data(), length);
    };
    decompose(-1);
    Index length = static_cast<Index>(work[0]);
    work.resize(static_cast<std::size_t>(length));
    if (decompose(length) != 0) throw Error("svd: the iteration did not converge");
}

template class Lu<float>;
template class Lu<double>;
template std::int64_t cholesky(float*, std::int64_t);
template std::int64_t cholesky(double*, std::int64_t);
template void solve_triangular(const float*, std::int64_t, float*, std::int64_t, bool, bool, bool);
template void solve_triangular(const double*, std::int64_t, double*, std::int64_t, bool, bool, bool);

} // namespace cotape::lapack

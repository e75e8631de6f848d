#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cotape::lapack {

// Factorisations of single dense matrices in row-major order, for float and double.

/// An n by n matrix as exchanged rows of L U.
template <class T>
class Lu {
  public:
    Lu(const T* a, std::int64_t n);

    /// The number of the first pivot that is exactly 0; -1 where there is none, and the matrix has an inverse.
    std::int64_t zero_pivot() const { return zero_pivot_; }
    T pivot(std::int64_t i) const { return factors_[static_cast<std::size_t>(i * n_ + i)]; }
    /// 1 or -1: the determinant is this times the product of the pivots.
    int sign() const;
    /// Replaces `b`, n by `columns`, by the solution of A X = B, or of A' X = B.
    void solve(T* b, std::int64_t columns, bool transposed) const;

  private:
    std::int64_t n_;
    std::vector<T> factors_;
    std::vector<int> exchanges_;
    std::int64_t zero_pivot_ = -1;
};

/// Replaces the lower triangle of `a` by that of its Cholesky factor L, A = L L'; the rest stays. Returns the order of
/// the first leading minor that is not positive, where the factorisation ends, or 0.
template <class T>
std::int64_t cholesky(T* a, std::int64_t n);

/// Replaces `b`, n by `columns`, by the solution of A X = B, or of A' X = B, for the lower or upper triangle of `a`.
template <class T>
void solve_triangular(const T* a, std::int64_t n, T* b, std::int64_t columns, bool upper, bool transposed,
                      bool unitriangular);

/// The singular value decomposition A = P diag(s) Q' of an n by n matrix of finite numbers; `p` and `q_transposed` are
/// orthogonal, s falls. Throws Error where the iteration does not converge.
struct Svd {
    std::vector<double> p, s, q_transposed;

    Svd(std::span<const double> a, std::int64_t n);
};

} // namespace cotape::lapack

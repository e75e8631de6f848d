#include <cmath>

#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/cholesky.hpp>
#include <cotape/ops/determinant.hpp>
#include <cotape/ops/linear_systems.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/triangular.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// Well conditioned, and far from symmetric; the first two have determinants of either sign.
Domain three_by_three() { return given({2, -0.5, 0.3, 0.4, 1.5, -0.7, -0.2, 0.6, 1.8}); }
Domain two_of_two() { return given({1.5, 0.4, -0.3, 2, 0.5, 2, 1.7, -0.4}); }
Domain positive_definite() { return given({2, 0.4, -0.3, 0.4, 1.5, 0.2, -0.3, 0.2, 1.8}); }

using Element = std::function<double(std::int64_t, std::int64_t)>;

/// The sum over all permutations, by the first column.
double determinant(std::int64_t n, const Element& a) {
    if (n == 0) return 1;
    double sum = 0;
    for (std::int64_t row = 0; row < n; ++row)
        sum += (row % 2 ? -1 : 1) * a(row, 0) *
               determinant(n - 1, [&](std::int64_t i, std::int64_t j) { return a(i < row ? i : i + 1, j + 1); });
    return sum;
}

/// The matrix of a batch that an index points into.
Element matrix_of(const Array& a, Shape index) {
    index.resize(a.shape.size());
    return [&a, index](std::int64_t i, std::int64_t j) mutable {
        index[index.size() - 2] = i;
        index.back() = j;
        return a[index];
    };
}

/// By Cramer's rule.
double solved(const Element& a, std::int64_t n, std::int64_t row, const std::function<double(std::int64_t)>& b) {
    return determinant(n, [&](std::int64_t i, std::int64_t j) { return j == row ? b(i) : a(i, j); }) /
           determinant(n, a);
}

/// The solution of A X = B for what `read` makes of the elements of A.
Reference solution(std::function<double(const Element&, std::int64_t, std::int64_t)> read) {
    return [=](const Arrays& x) {
        std::int64_t n = x[0].shape.back(), k = x[1].shape.back();
        Shape shape = x[0].shape.size() >= x[1].shape.size() ? x[0].shape : x[1].shape;
        shape[shape.size() - 2] = n;
        shape.back() = k;
        return Array(shape, [&](const Shape& index) {
            auto aligned = [&](const Array& array) { return Shape(index.end() - array.shape.size(), index.end()); };
            Element a = matrix_of(x[0], aligned(x[0])), b = matrix_of(x[1], aligned(x[1]));
            return solved([&](std::int64_t i, std::int64_t j) { return read(a, i, j); }, n, index[index.size() - 2],
                          [&](std::int64_t i) { return b(i, index.back()); });
        });
    };
}

double whole(const Element& a, std::int64_t i, std::int64_t j) { return a(i, j); }
double lower(const Element& a, std::int64_t i, std::int64_t j) { return i >= j ? a(i, j) : 0; }
double upper(const Element& a, std::int64_t i, std::int64_t j) { return i <= j ? a(i, j) : 0; }
double unit_lower(const Element& a, std::int64_t i, std::int64_t j) { return i == j ? 1 : lower(a, i, j); }
double transposed_upper(const Element& a, std::int64_t i, std::int64_t j) { return upper(a, j, i); }

OpRow triangular_row(std::string variant, SolveTriangularOptions options, Reference reference,
                     OpInput a = {{3, 3}, three_by_three()}, OpInput b = {{3, 2}}) {
    return {"solve_triangular",
            std::move(variant),
            [=](const Vars& x) { return solve_triangular(x[0], x[1], options); },
            {a, b},
            std::move(reference)};
}

/// The row of L, A = L L', from those above it.
double cholesky_element(const Array& a, std::int64_t i, std::int64_t j) {
    if (j > i) return 0;
    double rest = (a(i, j) + a(j, i)) / 2;
    for (std::int64_t k = 0; k < j; ++k) rest -= cholesky_element(a, i, k) * cholesky_element(a, j, k);
    return i == j ? std::sqrt(rest) : rest / cholesky_element(a, j, j);
}

Array inverse(const Arrays& x) {
    return Array(x[0].shape, [&](const Shape& index) {
        std::int64_t column = index.back();
        return solved(matrix_of(x[0], index), x[0].shape.back(), index[index.size() - 2],
                      [=](std::int64_t i) { return i == column ? 1.0 : 0.0; });
    });
}

Reference of_determinant(double (*function)(double)) {
    return [=](const Arrays& x) {
        return Array(Shape(x[0].shape.begin(), x[0].shape.end() - 2), [&](const Shape& index) {
            return function(determinant(x[0].shape.back(), matrix_of(x[0], index)));
        });
    };
}

OpRow det_row(std::string variant, Shape shape, Domain domain) {
    return {"det", std::move(variant), [](const Vars& x) { return det(x[0]); }, {{shape, domain}},
            of_determinant([](double value) { return value; })};
}

} // namespace

std::vector<OpRow> linear_algebra_rows() {
    auto triangle = [](std::int64_t side, std::int64_t diagonal) {
        return [=](const Arrays& x) {
            return Array(x[0].shape, [&](const Shape& i) {
                return side * (i.back() - i[i.size() - 2] - diagonal) >= 0 ? x[0][i] : 0;
            });
        };
    };
    return {
        {"tril", "a batch", [](const Vars& x) { return tril(x[0]); }, {{{2, 2, 3}}}, triangle(-1, 0)},
        {"tril", "with a diagonal above", [](const Vars& x) { return tril(x[0], 1); }, {{{3, 3}}}, triangle(-1, 1)},
        {"triu", "below the diagonal", [](const Vars& x) { return triu(x[0], -1); }, {{{4, 3}}}, triangle(1, -1)},
        triangular_row("lower", {}, solution(lower)),
        triangular_row("upper", {.upper = true}, solution(upper)),
        triangular_row("upper, transposed", {.upper = true, .transpose_a = true}, solution(transposed_upper)),
        triangular_row("unitriangular", {.unitriangular = true}, solution(unit_lower)),
        triangular_row("a batch for one side", {}, solution(lower), {{2, 2, 2}, two_of_two()}, {{2, 1}}),
        triangular_row("one matrix for a batch", {}, solution(lower), {{3, 3}, three_by_three()}, {{2, 3, 1}}),
        {"solve_triangular",
         "from the right",
         [](const Vars& x) { return solve_triangular(x[0], transpose(x[1]), {.left = false}); },
         {{{3, 3}, three_by_three()}, {{3, 1}}},
         [](const Arrays& x) { // X A = B' where A' X' = B
             Array result =
                 solution([](const Element& a, std::int64_t i, std::int64_t j) { return lower(a, j, i); })(x);
             result.shape = {1, 3};
             return result;
         }},
        {"solve",
         "a matrix",
         [](const Vars& x) { return solve(x[0], x[1]); },
         {{{3, 3}, three_by_three()}, {{3, 2}}},
         solution(whole)},
        {"solve",
         "a batch for one side",
         [](const Vars& x) { return solve(x[0], x[1]); },
         {{{2, 2, 2}, two_of_two()}, {{2, 3}}},
         solution(whole)},
        {"solve",
         "one matrix for a batch",
         [](const Vars& x) { return solve(x[0], x[1]); },
         {{{3, 3}, three_by_three()}, {{2, 3, 1}}},
         solution(whole)},
        {"solve",
         "from the right",
         [](const Vars& x) { return transpose(solve(x[0], transpose(x[1]), {.left = false})); },
         {{{3, 3}, three_by_three()}, {{3, 2}}},
         solution([](const Element& a, std::int64_t i, std::int64_t j) { return a(j, i); })},
        {"solve",
         "a vector",
         [](const Vars& x) {
             return reshape(solve(x[0], reshape(x[1], {3})), {3, 1});
         },
         {{{3, 3}, three_by_three()}, {{3, 1}}},
         solution(whole)},
        {"solve",
         "a batch of vectors",
         [](const Vars& x) {
             return reshape(solve(x[0], reshape(x[1], {2, 2})), {2, 2, 1});
         },
         {{{2, 2, 2}, two_of_two()}, {{2, 2, 1}}},
         solution(whole)},
        {"inv", "a matrix", [](const Vars& x) { return inv(x[0]); }, {{{3, 3}, three_by_three()}}, inverse},
        {"inv", "a batch", [](const Vars& x) { return inv(x[0]); }, {{{2, 2, 2}, two_of_two()}}, inverse},
        {"inv", "nothing", [](const Vars& x) { return inv(x[0]); }, {{{2, 0, 0}}}, inverse},
        {"cholesky",
         "lower",
         [](const Vars& x) { return cholesky(x[0]); },
         {{{3, 3}, positive_definite()}},
         [](const Arrays& x) {
             return Array({3, 3}, [&](const Shape& i) { return cholesky_element(x[0], i[0], i[1]); });
         }},
        {"cholesky",
         "upper",
         [](const Vars& x) { return cholesky(x[0], {.upper = true}); },
         {{{3, 3}, positive_definite()}},
         [](const Arrays& x) {
             return Array({3, 3}, [&](const Shape& i) { return cholesky_element(x[0], i[1], i[0]); });
         }},
        {"cholesky_solve",
         "lower",
         [](const Vars& x) { return cholesky_solve(x[1], x[0]); },
         {{{3, 3}, three_by_three()}, {{3, 2}}},
         solution([](const Element& l, std::int64_t i, std::int64_t j) {
             double sum = 0;
             for (std::int64_t k = 0; k < 3; ++k) sum += lower(l, i, k) * lower(l, j, k);
             return sum;
         })},
        {"cholesky_solve",
         "upper, a batch",
         [](const Vars& x) { return cholesky_solve(x[1], x[0], {.upper = true}); },
         {{{2, 2, 2}, two_of_two()}, {{2, 1}}},
         solution([](const Element& u, std::int64_t i, std::int64_t j) {
             double sum = 0;
             for (std::int64_t k = 0; k < 2; ++k) sum += upper(u, k, i) * upper(u, k, j);
             return sum;
         })},
        det_row("a matrix", {3, 3}, three_by_three()),
        det_row("a batch", {2, 2, 2}, two_of_two()),
        det_row("four by four", {4, 4}, between(-1, 1)),
        det_row("the identity", {3, 3}, given({1, 0, 0, 0, 1, 0, 0, 0, 1})),
        // Eliminated without rounding: what a determinant of 0 comes to otherwise is the library's matter.
        det_row("of rank n - 1", {3, 3}, given({4, 2, 8, 2, 3, 5, 1, 1.5, 2.5})),
        det_row("of rank n - 2", {3, 3}, given({0, 0, 0, 0, 0, 2, 0, 0, 0})),
        det_row("of rank 0", {3, 3}, given({0, 0, 0, 0, 0, 0, 0, 0, 0})),
        det_row("one by one, zero", {1, 1}, given({0})),
        det_row("nothing", {2, 0, 0}, between(-1, 1)),
        {"slogdet",
         "sign",
         [](const Vars& x) { return slogdet(x[0]).sign; },
         {{{2, 2, 2}, two_of_two(), false}},
         of_determinant([](double value) { return value > 0   ? 1.0
                                                  : value < 0 ? -1.0
                                                              : 0.0; })},
        {"slogdet",
         "logarithm",
         [](const Vars& x) { return slogdet(x[0]).logabsdet; },
         {{{2, 2, 2}, two_of_two()}},
         of_determinant([](double value) { return std::log(std::fabs(value)); })},
    };
}

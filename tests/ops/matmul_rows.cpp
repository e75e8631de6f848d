#include <cotape/ops/matmul.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// The sum over k, element by element, with stretched batches.
Reference product(Shape batch, std::int64_t m, std::int64_t k, std::int64_t n, MatmulOptions options) {
    return [=](const Arrays& x) {
        Shape shape = batch;
        shape.append(&m, &m + 1);
        shape.append(&n, &n + 1);
        return Array(shape, [&](const Shape& index) {
            Shape of_a = index, of_b = index;
            std::size_t row = index.size() - 2, column = index.size() - 1;
            double sum = 0;
            for (std::int64_t i = 0; i < k; ++i) {
                of_a[options.transpose_a ? column : row] = index[row];
                of_a[options.transpose_a ? row : column] = i;
                of_b[options.transpose_b ? column : row] = i;
                of_b[options.transpose_b ? row : column] = index[column];
                sum += x[0][of_a] * x[1][of_b];
            }
            return sum;
        });
    };
}

OpRow row(std::string variant, Shape a, Shape b, MatmulOptions options, Shape batch) {
    std::int64_t m = options.transpose_a ? a[a.size() - 1] : a[a.size() - 2];
    std::int64_t k = options.transpose_a ? a[a.size() - 2] : a[a.size() - 1];
    std::int64_t n = options.transpose_b ? b[b.size() - 2] : b[b.size() - 1];
    return {"matmul", std::move(variant), [=](const Vars& x) { return matmul(x[0], x[1], options); }, {{a}, {b}},
            product(batch, m, k, n, options)};
}

} // namespace

std::vector<OpRow> matmul_rows() {
    return {
        row("two matrices", {2, 3}, {3, 4}, {}, {}),
        row("a transposed", {3, 2}, {3, 4}, {.transpose_a = true}, {}),
        row("b transposed", {2, 3}, {4, 3}, {.transpose_b = true}, {}),
        row("both transposed", {3, 2}, {4, 3}, {.transpose_a = true, .transpose_b = true}, {}),
        row("a row by a column", {1, 3}, {3, 1}, {}, {}),
        row("a column by a row", {3, 1}, {1, 2}, {}, {}),
        row("a batch by a matrix", {2, 2, 3}, {3, 2}, {}, {2}),
        row("a batch by a transposed matrix", {2, 2, 3}, {2, 3}, {.transpose_b = true}, {2}),
        row("a transposed batch by a matrix", {2, 3, 2}, {3, 2}, {.transpose_a = true}, {2}),
        row("a matrix by a batch", {2, 3}, {2, 3, 2}, {}, {2}),
        row("two batches", {2, 2, 3}, {2, 3, 1}, {}, {2}),
        row("batches that broadcast both ways", {2, 1, 1, 2}, {1, 3, 2, 1}, {}, {2, 3}),
        row("batches that broadcast, both transposed", {2, 1, 2, 1}, {3, 2, 2},
            {.transpose_a = true, .transpose_b = true}, {2, 3}),
        row("nothing to sum", {2, 0}, {0, 3}, {}, {}),
        row("no rows", {0, 3}, {3, 2}, {}, {}),
        row("no batch", {0, 2, 3}, {3, 2}, {}, {0}),
    };
}

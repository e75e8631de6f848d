#include <cmath>

#include <cotape/core/gradients.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/jacobian.hpp>
#include <cotape/ops/reductions.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// y_i = exp(x_i) * sum(x^2), whose Jacobian is dense.
Var mixture(Var x) { return exp(x) * sum(square(x)); }

double sum_of_squares(const Array& x) {
    double sum = 0;
    for (double value : x.values) sum += value * value;
    return sum;
}

Array jacobian_of_mixture(const Arrays& x) {
    std::int64_t n = x[0].shape[0];
    return Array({n, n}, [&](const Shape& i) {
        return std::exp(x[0](i[0])) * ((i[0] == i[1] ? sum_of_squares(x[0]) : 0) + 2 * x[0](i[1]));
    });
}

OpRow jacobian_row(std::string variant, JacobianMode mode) {
    return {"jacobian",
            std::move(variant),
            [=](const Vars& x) { return jacobian(mixture(x[0]), x[0], {.mode = mode}); },
            {{{3}}},
            jacobian_of_mixture};
}

} // namespace

std::vector<OpRow> derivative_rows() {
    return {
        jacobian_row("reverse", JacobianMode::reverse),
        jacobian_row("forward", JacobianMode::forward),
        {"jacobian",
         "of a tall function of a matrix",
         [](const Vars& x) { return jacobian(x[1] * sum(x[0] * x[0]), x[0]); },
         {{{1, 2}}, {{5}}},
         [](const Arrays& x) {
             return Array({5, 1, 2}, [&](const Shape& i) { return x[1](i[0]) * 2 * x[0](i[1], i[2]); });
         }},
        {"hessian",
         "of a scalar",
         [](const Vars& x) { return hessian(prod(x[0]), x[0]); },
         {{{3}}},
         [](const Arrays& x) {
             return Array({3, 3}, [&](const Shape& i) { return i[0] == i[1] ? 0 : x[0](3 - i[0] - i[1]); });
         }},
        {"hessian",
         "of a vector",
         [](const Vars& x) { return hessian(x[0] * x[0] * x[0], x[0]); },
         {{{2}}},
         [](const Arrays& x) {
             return Array({2, 2, 2}, [&](const Shape& i) {
                 return i[0] == i[1] && i[1] == i[2] ? 6 * x[0](i[0]) : 0;
             });
         }},
    };
}

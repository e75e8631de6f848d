#include <algorithm>
#include <cmath>
#include <numeric>

#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/reductions.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

using Group = std::vector<double>;
using Reduction = Var (*)(Operand, const Shape&, ReduceOptions);

double sum_of(const Group& group) { return std::accumulate(group.begin(), group.end(), 0.0); }
double product_of(const Group& group) { return std::accumulate(group.begin(), group.end(), 1.0, std::multiplies<>()); }
double mean_of(const Group& group) { return sum_of(group) / static_cast<double>(group.size()); }
double largest_of(const Group& group) { return *std::ranges::max_element(group); }
double smallest_of(const Group& group) { return *std::ranges::min_element(group); }
double logsumexp_of(const Group& group) {
    double sum = 0;
    for (double x : group) sum += std::exp(x);
    return std::log(sum);
}
/// Half the mean squared distance of all pairs: another formula than the op's.
double variance_of(const Group& group) {
    double sum = 0;
    for (double a : group)
        for (double b : group) sum += (a - b) * (a - b) / 2;
    return sum / static_cast<double>(group.size() * group.size());
}

/// Every reduction in the same seven ways: axes in the middle, at the ends, several, negative, none, kept, of extent 1.
void add_ways(std::vector<OpRow>& rows, const std::string& op, Reduction function, Domain domain,
              double (*reference)(const Group&)) {
    auto add = [&](std::string variant, Shape shape, Shape axes, bool keep_dims) {
        Shape counted;
        for (std::int64_t axis : axes)
            counted.push_back(axis < 0 ? axis + static_cast<std::int64_t>(shape.size()) : axis);
        rows.push_back({op, std::move(variant),
                        [=](const Vars& x) { return function(x[0], axes, {.keep_dims = keep_dims}); },
                        {{shape, domain}}, reduced_reference(counted, keep_dims, reference)});
    };
    add("the first axis", {3, 2}, {0}, false);
    add("the last axis, negative and kept", {2, 3}, {-1}, true);
    add("the middle axis", {2, 3, 2}, {1}, false);
    add("two axes, out of order", {2, 3, 2}, {2, 0}, false);
    add("two axes kept", {2, 3, 2}, {0, -1}, true);
    add("an axis of extent 1", {3, 1}, {1}, false);
    if (op != "variance") add("no axes", {3}, {}, false);
}

OpRow over_all(std::string op, Var (*function)(Operand), Shape shape, Domain domain,
               double (*reference)(const Group&)) {
    Shape axes(shape.size());
    std::iota(axes.begin(), axes.end(), 0);
    return {std::move(op), "all axes of " + to_string(shape), [function](const Vars& x) { return function(x[0]); },
            {{shape, std::move(domain)}}, reduced_reference(axes, false, reference)};
}

/// The expanded prod of a row with given factors, some of them 0.
OpRow product_with_zeros(std::string variant, Shape shape, std::vector<double> factors) {
    std::int64_t last = static_cast<std::int64_t>(shape.size()) - 1;
    return {"prod", std::move(variant), [](const Vars& x) { return prod(x[0], {-1}); },
            {{shape, given(std::move(factors))}}, reduced_reference({last}, false, product_of)};
}

} // namespace

std::vector<OpRow> reduction_rows() {
    std::vector<OpRow> rows{
        over_all("sum", sum, {2, 3}, {}, sum_of),
        over_all("sum", sum, {}, {}, sum_of),
        over_all("sum", sum, {0, 2}, {}, sum_of),
        over_all("mean", mean, {2, 3}, {}, mean_of),
        over_all("mean", mean, {}, {}, mean_of),
        over_all("max", max, {2, 3}, distinct(), largest_of),
        over_all("max", max, {}, {}, largest_of),
        over_all("min", min, {2, 3}, distinct(), smallest_of),
        over_all("prod", prod, {5}, away_from_zero(0.5), product_of),
        over_all("prod", prod, {}, {}, product_of),
        over_all("prod", prod, {0}, {}, product_of),
        over_all("variance", variance, {2, 3}, {}, variance_of),
        over_all("logsumexp", logsumexp, {2, 3}, between(-2, 2), logsumexp_of),
        over_all("logsumexp", logsumexp, {}, between(-2, 2), logsumexp_of),
        product_with_zeros("one zero factor", {4}, {2, 0, -3, 0.5}),
        product_with_zeros("two zero factors", {4}, {0, 1.5, 0, -2}),
        product_with_zeros("all zero factors", {3}, {0, 0, 0}),
        product_with_zeros("rows with none, one and two zeros", {3, 3}, {1, 2, 3, 0, 1, 2, 0, 3, 0}),
    };
    add_ways(rows, "sum", sum, {}, sum_of);
    add_ways(rows, "mean", mean, {}, mean_of);
    add_ways(rows, "max", max, distinct(), largest_of);
    add_ways(rows, "min", min, distinct(), smallest_of);
    add_ways(rows, "prod", prod, away_from_zero(0.5), product_of);
    add_ways(rows, "variance", variance, {}, variance_of);
    add_ways(rows, "logsumexp", logsumexp, between(-2, 2), logsumexp_of);
    // The variance of one value is 0 whatever it is: there is no derivative to see.
    std::erase_if(rows, [](const OpRow& row) { return row.op == "variance" && row.variant == "an axis of extent 1"; });

    auto argmax_row = [](std::string variant, Shape shape, std::int64_t axis, bool keep_dims) {
        std::int64_t counted = axis < 0 ? axis + static_cast<std::int64_t>(shape.size()) : axis;
        return OpRow{"argmax", std::move(variant),
                     [=](const Vars& x) { return argmax(x[0], axis, {.keep_dims = keep_dims}); },
                     {{shape, distinct(), false}}, reduced_reference({counted}, keep_dims, [](const Group& group) {
                         return static_cast<double>(std::ranges::max_element(group) - group.begin());
                     })};
    };
    rows.push_back(argmax_row("the last axis", {3, 4}, -1, false));
    rows.push_back(argmax_row("the middle axis, kept", {2, 3, 2}, 1, true));

    for (auto [shape, axes] : {std::pair<Shape, Shape>{{5, 2}, {0}}, {{2, 3, 2}, {0, 2}}, {{2, 2, 1, 2}, {0, 2, 3}}}) {
        rows.push_back({"batch_mean", to_string(shape), [](const Vars& x) { return batch_mean(x[0]); }, {{shape}},
                        reduced_reference(axes, true, mean_of)});
        rows.push_back({"batch_variance",
                        to_string(shape),
                        [](const Vars& x) { return batch_variance(x[0]); },
                        {{shape}},
                        reduced_reference(axes, true, variance_of)});
    }

    auto stretch_row = [](Shape from, Shape to) {
        return OpRow{"broadcast_to", to_string(from) + " to " + to_string(to),
                     [=](const Vars& x) { return broadcast_to(x[0], to); }, {{from}},
                     [=](const Arrays& x) { return Array(to, [&](const Shape& index) { return x[0][index]; }); }};
    };
    rows.push_back(stretch_row({3}, {2, 3}));
    rows.push_back(stretch_row({2, 1}, {2, 3}));
    rows.push_back(stretch_row({1, 2, 1}, {2, 2, 3}));
    rows.push_back(stretch_row({}, {2, 2}));
    rows.push_back(stretch_row({2, 2}, {2, 2}));
    rows.push_back(stretch_row({1, 3}, {0, 3}));

    auto fold_row = [](Shape from, Shape to) {
        return OpRow{"sum_to",
                     to_string(from) + " to " + to_string(to),
                     [=](const Vars& x) { return sum_to(x[0], to); },
                     {{from}},
                     [=](const Arrays& x) {
                         Array sums(to, [](const Shape&) { return 0; });
                         for (const Shape& index : indices_of(from)) {
                             std::size_t position = 0, skipped = from.size() - to.size();
                             for (std::size_t i = 0; i < to.size(); ++i)
                                 position = position * static_cast<std::size_t>(to[i]) +
                                            (to[i] == 1 ? 0 : static_cast<std::size_t>(index[skipped + i]));
                             sums.values[position] += x[0][index];
                         }
                         return sums;
                     }};
    };
    rows.push_back(fold_row({2, 3}, {3}));
    rows.push_back(fold_row({2, 3}, {2, 1}));
    rows.push_back(fold_row({2, 2, 3}, {1, 2, 1}));
    rows.push_back(fold_row({2, 3}, {}));
    rows.push_back(fold_row({2, 2}, {2, 2}));
    rows.push_back(fold_row({0, 3}, {3}));
    return rows;
}

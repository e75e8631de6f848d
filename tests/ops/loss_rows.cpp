#include <cmath>

#include <cotape/ops/losses.hpp>
#include <cotape/ops/softmax.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// exp(x) over its sum along `axis`, as written.
Reference softmax_reference(std::size_t axis, bool logarithm) {
    return [=](const Arrays& x) {
        return Array(x[0].shape, [&](const Shape& index) {
            double sum = 0;
            Shape other = index;
            for (other[axis] = 0; other[axis] < x[0].shape[axis]; ++other[axis]) sum += std::exp(x[0][other]);
            double share = std::exp(x[0][index]) / sum;
            return logarithm ? std::log(share) : share;
        });
    };
}

const std::vector<std::int64_t> labels{2, 0, 2, 1};

/// Over examples i and classes c, -target(i, c) weight(c) log p(i, c), divided by the weights of the labels.
Array cross_entropy_reference(const Array& logits, double smoothing, const std::vector<double>& weights) {
    double loss = 0, total = 0;
    std::int64_t classes = logits.shape[1];
    for (std::int64_t i = 0; i < logits.shape[0]; ++i) {
        double sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(logits(i, c));
        std::int64_t label = labels[static_cast<std::size_t>(i)];
        for (std::int64_t c = 0; c < classes; ++c) {
            double target = (c == label ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes);
            loss -= target * weights[static_cast<std::size_t>(c)] * std::log(std::exp(logits(i, c)) / sum);
        }
        total += weights[static_cast<std::size_t>(label)];
    }
    return Array(Shape{}, [&](const Shape&) { return loss / total; });
}

OpRow cross_entropy_row(std::string variant, double smoothing, std::vector<double> weights) {
    return {"cross_entropy", std::move(variant),
            [=](const Vars& x) {
                CrossEntropyOptions options{.label_smoothing = smoothing};
                if (!weights.empty()) options.class_weights = Tensor::of<double>({3}, weights).as(x[0].dtype());
                return cross_entropy(x[0], Tensor::of<std::int64_t>({4}, labels), options);
            },
            {{{4, 3}, between(-2, 2)}},
            [=](const Arrays& x) {
                return cross_entropy_reference(x[0], smoothing, weights.empty() ? std::vector<double>(3, 1) : weights);
            }};
}

/// The mean over elements of a function of two.
Reference mean_of_pairs(double (*term)(double, double)) {
    return [=](const Arrays& x) {
        double sum = 0;
        for (const Shape& index : indices_of(x[0].shape)) sum += term(x[0][index], x[1][index]);
        return Array(Shape{}, [&](const Shape&) { return sum / static_cast<double>(x[0].values.size()); });
    };
}

} // namespace

std::vector<OpRow> loss_rows() {
    return {
        {"softmax",
         "the last axis",
         [](const Vars& x) { return softmax(x[0]); },
         {{{2, 3}, between(-2, 2)}},
         softmax_reference(1, false)},
        {"softmax",
         "the first axis",
         [](const Vars& x) { return softmax(x[0], 0); },
         {{{3, 2}, between(-2, 2)}},
         softmax_reference(0, false)},
        {"softmax",
         "the middle axis",
         [](const Vars& x) { return softmax(x[0], -2); },
         {{{2, 3, 2}, between(-2, 2)}},
         softmax_reference(1, false)},
        {"log_softmax",
         "the last axis",
         [](const Vars& x) { return log_softmax(x[0]); },
         {{{2, 3}, between(-2, 2)}},
         softmax_reference(1, true)},
        {"log_softmax",
         "the first axis",
         [](const Vars& x) { return log_softmax(x[0], 0); },
         {{{3, 2}, between(-2, 2)}},
         softmax_reference(0, true)},
        cross_entropy_row("plain", 0, {}),
        cross_entropy_row("label smoothing", 0.1, {}),
        cross_entropy_row("class weights", 0, {0.5, 2, 1}),
        cross_entropy_row("label smoothing and class weights", 0.2, {0.5, 2, 1}),
        cross_entropy_row("nothing but smoothing", 1, {}),
        {"mean_squared_error",
         "",
         [](const Vars& x) { return mean_squared_error(x[0], x[1]); },
         {{{2, 3}}, {{2, 3}}},
         mean_of_pairs([](double a, double b) { return (a - b) * (a - b); })},
        {"binary_cross_entropy_with_logits",
         "",
         [](const Vars& x) { return binary_cross_entropy_with_logits(x[0], x[1]); },
         {{{2, 3}, between(-3, 3)}, {{2, 3}, between(0, 1)}},
         mean_of_pairs([](double x, double t) {
             double p = 1 / (1 + std::exp(-x));
             return -t * std::log(p) - (1 - t) * std::log(1 - p);
         })},
    };
}

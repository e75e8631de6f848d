#include <cmath>
#include <numeric>

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
const Tensor class_weights = Tensor::of<double>({3}, {0.5, 2, 1});

/// Summed or averaged, or as they are.
Array reduced(const Array& losses, Reduction reduction, double total) {
    if (reduction == Reduction::none) return losses;
    double sum = std::reduce(losses.values.begin(), losses.values.end());
    return Array(Shape{}, [&](const Shape&) { return reduction == Reduction::sum ? sum : sum / total; });
}

/// Of each example i that counts, the sum over classes c of -target(i, c) weight(c) log p(i, c). In a mean they are
/// divided by the weights of the labels.
Array cross_entropy_reference(const Array& logits, const CrossEntropyOptions& options) {
    double total = 0;
    std::int64_t classes = logits.shape[1];
    auto weight = [&](std::int64_t c) { return options.class_weights.empty() ? 1 : options.class_weights.at(c); };
    Array losses(Shape{logits.shape[0]}, [&](const Shape& index) {
        std::int64_t i = index[0], label = labels[static_cast<std::size_t>(i)];
        if (label == options.ignore_index) return 0.0;
        double sum = 0, loss = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(logits(i, c));
        for (std::int64_t c = 0; c < classes; ++c) {
            double smoothing = options.label_smoothing;
            double target = (c == label ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes);
            loss -= target * weight(c) * std::log(std::exp(logits(i, c)) / sum);
        }
        total += weight(label);
        return loss;
    });
    return reduced(losses, options.reduction, total);
}

OpRow cross_entropy_row(std::string variant, const CrossEntropyOptions& options) {
    return {"cross_entropy", std::move(variant),
            [=](const Vars& x) {
                CrossEntropyOptions of_type = options;
                if (!options.class_weights.empty()) of_type.class_weights = options.class_weights.as(x[0].dtype());
                return cross_entropy(x[0], Tensor::of<std::int64_t>({4}, labels), of_type);
            },
            {{{4, 3}, between(-2, 2)}},
            [=](const Arrays& x) { return cross_entropy_reference(x[0], options); }};
}

/// A function of two, element by element.
Reference of_pairs(double (*term)(double, double), Reduction reduction) {
    return [=](const Arrays& x) {
        Array losses(x[0].shape, [&](const Shape& index) { return term(x[0][index], x[1][index]); });
        return reduced(losses, reduction, static_cast<double>(x[0].values.size()));
    };
}

OpRow squared_error_row(std::string variant, Reduction reduction) {
    return {"mean_squared_error", std::move(variant),
            [=](const Vars& x) { return mean_squared_error(x[0], x[1], {.reduction = reduction}); },
            {{{2, 3}}, {{2, 3}}},
            of_pairs([](double a, double b) { return (a - b) * (a - b); }, reduction)};
}

OpRow binary_cross_entropy_row(std::string variant, Reduction reduction) {
    return {"binary_cross_entropy_with_logits", std::move(variant),
            [=](const Vars& x) { return binary_cross_entropy_with_logits(x[0], x[1], {.reduction = reduction}); },
            {{{2, 3}, between(-3, 3)}, {{2, 3}, between(0, 1)}},
            of_pairs(
                [](double x, double t) {
                    double p = 1 / (1 + std::exp(-x));
                    return -t * std::log(p) - (1 - t) * std::log(1 - p);
                },
                reduction)};
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
        cross_entropy_row("plain", {}),
        cross_entropy_row("label smoothing", {.label_smoothing = 0.1}),
        cross_entropy_row("class weights", {.class_weights = class_weights}),
        cross_entropy_row("label smoothing and class weights",
                          {.label_smoothing = 0.2, .class_weights = class_weights}),
        cross_entropy_row("nothing but smoothing", {.label_smoothing = 1}),
        cross_entropy_row("summed", {.label_smoothing = 0.2, .reduction = Reduction::sum}),
        cross_entropy_row("one for each example", {.class_weights = class_weights, .reduction = Reduction::none}),
        cross_entropy_row("a class ignored", {.ignore_index = 0}),
        cross_entropy_row("all options", {.label_smoothing = 0.2, .class_weights = class_weights, .ignore_index = 2}),
        cross_entropy_row("all options, one for each example", {.label_smoothing = 0.2,
                                                                .class_weights = class_weights,
                                                                .reduction = Reduction::none,
                                                                .ignore_index = 2}),
        squared_error_row("", Reduction::mean),
        squared_error_row("summed", Reduction::sum),
        squared_error_row("one for each element", Reduction::none),
        binary_cross_entropy_row("", Reduction::mean),
        binary_cross_entropy_row("summed", Reduction::sum),
        binary_cross_entropy_row("one for each element", Reduction::none),
    };
}

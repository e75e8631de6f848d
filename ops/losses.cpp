#include <cotape/ops/losses.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/softmax.hpp>

namespace cotape {
namespace {

std::string text_of(const Operand& x) { return x.var ? to_string(x.var.shape()) : "a number"; }

void require_equal_shapes(const char* loss, const Operand& a, const Operand& b) {
    if (!a.var || !b.var || !(a.var.shape() == b.var.shape()))
        throw ShapeError(fmt::format("{}: needs two equal shapes, got {} and {}", loss, text_of(a), text_of(b)));
}

void require_labels(const Operand& operand, const Tensor& labels, std::optional<std::int64_t> ignored) {
    auto refuse = [&] {
        throw ShapeError(fmt::format("cross_entropy: needs logits [N, classes] and labels [N], got {} and {}",
                                     text_of(operand), to_string(labels.shape())));
    };
    if (!operand.var) refuse();
    const Type& type = operand.var.type();
    const Shape& logits = type.shape;
    if (!is_floating(type.dtype))
        throw DtypeError(fmt::format("cross_entropy: needs float32 or float64 logits, got {}", to_string(type.dtype)));
    if (labels.dtype() != Dtype::int64)
        throw DtypeError(fmt::format("cross_entropy: needs int64 labels, got {}", to_string(labels.dtype())));
    if (logits.size() != 2 || labels.shape().size() != 1 || logits[0] != labels.shape()[0]) refuse();
    if (logits[0] == 0 || logits[1] == 0)
        throw ShapeError(fmt::format("cross_entropy: needs at least one example and one class, got logits {}",
                                     to_string(logits)));
    std::span<const std::int64_t> values = labels.elements<std::int64_t>();
    for (std::size_t i = 0; i < values.size(); ++i)
        if (values[i] != ignored && (values[i] < 0 || values[i] >= logits[1]))
            throw ValueError(fmt::format("cross_entropy: label {} at index {} is outside the {} classes", values[i], i,
                                         logits[1]));
}

/// `function` of each label.
template <class T, class Function>
Tensor of_labels(const Tensor& labels, const Shape& shape, Function function) {
    return Tensor::make<T>(shape, [&](std::span<T> elements) {
        std::ranges::transform(labels.elements<std::int64_t>(), elements.begin(), function);
    });
}

Var reduced(Var losses, Reduction reduction) {
    if (reduction == Reduction::none) return losses;
    return reduction == Reduction::sum ? sum(losses) : mean(losses);
}

} // namespace

Var cross_entropy(Operand logits, const Tensor& labels, const CrossEntropyOptions& options) {
    std::optional<std::int64_t> ignored = options.ignore_index;
    require_labels(logits, labels, ignored);
    const Type type = logits.var.type();
    double smoothing = options.label_smoothing, classes = static_cast<double>(type.shape[1]);
    if (!(smoothing >= 0 && smoothing <= 1))
        throw ValueError(fmt::format("cross_entropy: label_smoothing must be in [0, 1], got {}", smoothing));
    Type weights_type{{type.shape[1]}, type.dtype};
    if (!options.class_weights.empty() && !(options.class_weights.type() == weights_type)) {
        std::string mismatch = fmt::format("cross_entropy: class_weights must be {}, got {}", to_string(weights_type),
                                           to_string(options.class_weights.type()));
        if (options.class_weights.dtype() != type.dtype) throw DtypeError(mismatch);
        throw ShapeError(mismatch);
    }
    LineScope line(logits);
    Tape& tape = logits.var.tape();
    auto target_of = [&](const Tensor& present) {
        return one_hot(tape.constant(present, logits.where), type.shape[1], type.dtype);
    };
    std::int64_t ignored_count = ignored ? std::ranges::count(labels.elements<std::int64_t>(), *ignored) : 0;
    Var target, counted;
    if (ignored_count == 0) {
        target = target_of(labels);
    } else {
        auto counts = [&](std::int64_t label) { return label == *ignored ? 0.0f : 1.0f; };
        auto present = [&](std::int64_t label) { return label == *ignored ? 0 : label; };
        counted = tape.constant(of_labels<float>(labels, {labels.size(), 1}, counts).as(type.dtype), logits.where);
        target = counted * target_of(of_labels<std::int64_t>(labels, labels.shape(), present));
    }
    Var log_probabilities = log_softmax(logits);
    Var terms = where(target, log_probabilities, 0); // selected, not multiplied: another class may be at -inf
    if (smoothing > 0) terms = (1 - smoothing) * terms + smoothing / classes * log_probabilities;
    if (smoothing > 0 && counted) terms = where(counted, terms, 0);
    Var weights = options.class_weights.empty() ? Var() : tape.constant(options.class_weights, logits.where);
    if (weights) terms = terms * weights;
    if (options.reduction == Reduction::none) return -sum(terms, {1});
    if (options.reduction == Reduction::sum) return -sum(terms);
    if (weights) return -sum(terms) / sum(target * weights);
    return -sum(terms) / static_cast<double>(labels.size() - ignored_count);
}

Var mean_squared_error(Operand prediction, Operand target, const LossOptions& options) {
    require_equal_shapes("mean_squared_error", prediction, target);
    LineScope line(prediction);
    return reduced(square(prediction - target), options.reduction);
}

Var binary_cross_entropy_with_logits(Operand logits, Operand targets, const LossOptions& options) {
    require_equal_shapes("binary_cross_entropy_with_logits", logits, targets);
    LineScope line(logits);
    Var losses = targets * softplus(-logits) + (1 - targets) * softplus(logits); // softplus(x) - t x cancels at t = 1
    return reduced(losses, options.reduction);
}

} // namespace cotape

#include <cotape/ops/projections.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

namespace cotape {
namespace {

constexpr int highest_order = 4;
/// Four tangents of this size, or of its reciprocal, multiply to a number well within the range of float64.
constexpr double largest_tangent = 0x1p200;
/// How far beside the inputs, as a share of their scale, derivatives are looked at once more.
constexpr double beside = 0x1p-7;

/// Elements [begin, end) moved by `distance` along `direction`; a single one by `distance` itself.
Tensor moved_tensor(const Tensor& tensor, const std::vector<double>& direction, std::int64_t begin, std::int64_t end,
                    double distance) {
    return Tensor::make<double>(tensor.shape(), [&](std::span<double> elements) {
        std::ranges::copy(tensor.elements<double>(), elements.begin());
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
            elements[i] += end == begin + 1 ? distance : distance * direction[i];
    });
}

Tensor moved_along(const Tensor& tensor, const Tensor& direction, double distance) {
    return Tensor::make<double>(tensor.shape(), [&](std::span<double> elements) {
        std::span<const double> from = tensor.elements<double>(), along = direction.elements<double>();
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = from[i] + distance * along[i];
    });
}

double sum_of_absolute_products(const Tensor& a, const Tensor& b) {
    double sum = 0;
    for (std::int64_t i = 0; i < a.size(); ++i) sum += std::abs(a.at(i) * b.at(i));
    return sum;
}

bool same_elements(const Tensor& a, const Tensor& b) {
    return a.type() == b.type() && std::memcmp(a.bytes_begin(), b.bytes_begin(), a.bytes()) == 0;
}

bool strains(const Tensor& value) {
    if (value.dtype() != Dtype::float64) return false;
    return std::ranges::any_of(value.elements<double>(), [](double element) {
        double size = std::abs(element);
        return (size > 0 && size < 0x1p-511) || (size > 0x1p511 && std::isfinite(size));
    });
}

/// What `compute` gives at a point beside the inputs; NaN where an op refuses it as beyond its domain.
template <class Compute>
double where_defined(Compute compute) {
    try {
        return compute();
    } catch (const ValueError&) {
        return std::numeric_limits<double>::quiet_NaN();
    }
}

bool in_reverse(DerivativeMode mode, int level, int order) {
    switch (mode) {
    case DerivativeMode::reverse: return true;
    case DerivativeMode::forward: return false;
    case DerivativeMode::reverse_over_forward: return level == order - 1;
    case DerivativeMode::forward_over_reverse: break;
    }
    return level < order - 1;
}

} // namespace

std::vector<NodeId> nodes_behind(std::span<const Var> vars) {
    std::vector<NodeId> nodes, open;
    std::vector<bool> seen;
    if (!vars.empty()) seen.resize(vars.front().tape().size());
    auto visit = [&](NodeId id) {
        if (!seen[static_cast<std::size_t>(id)]) open.push_back(id);
        seen[static_cast<std::size_t>(id)] = true;
    };
    for (Var var : vars) visit(var.id());
    while (!open.empty()) {
        NodeId id = open.back();
        open.pop_back();
        nodes.push_back(id);
        for (NodeId input : vars.front().tape().node(id).inputs) visit(input);
    }
    std::ranges::sort(nodes);
    return nodes;
}

Projections::Projections(const CheckedFunction& function, const std::vector<Tensor>& inputs, std::uint64_t seed)
    : function_(function), inputs_(inputs), random_(seed) {
    for (const Tensor& input : inputs_) {
        double scale = 0;
        for (double element : input.elements<double>()) scale = std::max(scale, std::abs(element));
        scales_.push_back(scale == 0 ? 1 : std::exp2(std::round(std::log2(scale))));
    }
    tangents_.resize(highest_order);
    for (std::vector<Tensor>& tangents : tangents_)
        for (std::size_t i = 0; i < inputs_.size(); ++i)
            tangents.push_back(Tensor::make<double>(inputs_[i].shape(), [&](std::span<double> elements) {
                double size = std::clamp(scales_[i], 1 / largest_tangent, largest_tangent);
                for (double& element : elements) element = size * signed_uniform();
            }));
    draw_directions();
}

double Projections::uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

double Projections::tangent_share() const {
    double share = 0;
    for (double scale : scales_)
        share = std::max(share, std::clamp(scale, 1 / largest_tangent, largest_tangent) / scale);
    return share;
}

void Projections::draw_directions() {
    directions_.clear();
    for (const Tensor& input : inputs_) {
        directions_.emplace_back(static_cast<std::size_t>(input.size()));
        for (double& element : directions_.back()) element = signed_uniform();
    }
}

std::optional<Projections::Hindrance> Projections::hindrance() {
    Recording recording = record_function(inputs_);
    Tensor first = recording.output.value();
    if (first.dtype() != Dtype::float64)
        return Hindrance{Obstacle::input_type, fmt::format("the function gives {}: derivatives are checked in float64",
                                                           to_string(first.dtype()))};
    if (first.size() == 0) return Hindrance{Obstacle::annihilated, "the function gives no elements"};
    if (first_non_finite(first)) return why_not_finite(recording);
    if (!same_elements(first, record_function(inputs_).output.value()))
        return Hindrance{Obstacle::not_deterministic,
                         "the function gives another output when it is called again: it is not deterministic"};
    weights_ = Tensor::make<double>(first.shape(), [&](std::span<double> weights) {
        for (double& weight : weights) weight = signed_uniform();
    });
    return std::nullopt;
}

Projections::Hindrance Projections::why_not_finite(const Recording& recording) const {
    std::vector<std::optional<std::size_t>> reached_by(tape_.size());
    for (std::size_t i = 0; i < recording.inputs.size(); ++i)
        reached_by[static_cast<std::size_t>(recording.inputs[i].id())] = i;
    for (NodeId id : nodes_behind({&recording.output, 1})) {
        const Node& node = tape_.node(id);
        std::optional<std::size_t>& input = reached_by[static_cast<std::size_t>(id)];
        for (NodeId operand : node.inputs)
            if (!input) input = reached_by[static_cast<std::size_t>(operand)];
        Tensor value = tape_.var(id).value();
        std::optional<std::int64_t> element = first_non_finite(value);
        if (!element) continue;
        double result = value.at(*element);
        if (std::isnan(result)) result = NAN; // of no sign
        std::string what = fmt::format("{} ({}) gives {} at element {}", node.op->name, place_of(tape_, node), result,
                                       *element);
        if (node.inputs.size() == 1)
            if (Tensor from = tape_.var(node.inputs[0]).value(); from.size() == value.size())
                what += fmt::format(", from {}", from.at(*element));
        if (!input) return {Obstacle::not_finite, "the function is not finite: " + what};
        if (std::isnan(result))
            return {Obstacle::outside_domain, fmt::format("input {} lies outside the domain: {}", *input, what)};
        return {Obstacle::not_finite, fmt::format("the function is not finite at input {}: {}", *input, what)};
    }
    return {Obstacle::not_finite, "the function is not finite at its inputs"};
}

void Projections::select_output(std::int64_t element) {
    weights_ = Tensor::make<double>(weights_.shape(), [&](std::span<double> weights) {
        std::ranges::fill(weights, 0);
        weights[static_cast<std::size_t>(element)] = 1;
    });
}

Projections::Recording Projections::record_function(const std::vector<Tensor>& point) const {
    tape_.clear();
    Recording recording;
    for (const Tensor& input : point) recording.inputs.push_back(tape_.variable(input));
    recording.output = function_(recording.inputs);
    return recording;
}

Projections::Recording Projections::record_at(const std::vector<Tensor>& point, int order) const {
    Recording recording = record_function(point);
    if (!(recording.output.type() == weights_.type()))
        throw ShapeError(fmt::format("check_gradients: the function gives {} at its inputs, and {} close to them",
                                     to_string(weights_.type()), to_string(recording.output.type())));
    recording.phi = nest(recording, DerivativeMode::reverse, order - 1, order - 1, {});
    return recording;
}

Tensor Projections::tangent(int level, std::size_t input, std::optional<std::size_t> only) const {
    const Tensor& tangent = tangents_[static_cast<std::size_t>(level)][input];
    return only && *only != input ? Tensor::full(tangent.shape(), 0, Dtype::float64) : tangent;
}

Var Projections::nest(const Recording& recording, DerivativeMode mode, int order, int levels,
                      std::optional<std::size_t> only) const {
    Var value = recording.output;
    bool projected = false;
    auto project = [&] {
        if (!projected) value = sum(value * tape_.constant(weights_));
        projected = true;
    };
    for (int level = 0; level < levels; ++level) {
        std::vector<Var> tangents;
        for (std::size_t i = 0; i < inputs_.size(); ++i)
            tangents.push_back(tape_.constant(tangent(level, i, level == order - 1 ? only : std::nullopt)));
        if (in_reverse(mode, level, order)) {
            project();
            std::vector<Var> slopes = gradients(value, recording.inputs);
            value = Var();
            for (std::size_t i = 0; i < slopes.size(); ++i) {
                Var term = sum(slopes[i] * tangents[i]);
                value = value ? value + term : term;
            }
        } else {
            value = jvp(value, recording.inputs, tangents);
        }
    }
    project();
    return value;
}

Projections::Point Projections::derivatives(int order) const {
    Recording recording = record_at(inputs_, order);
    Point point;
    point.value = recording.phi.item();
    if (order == 1) {
        point.scale = sum_of_absolute_products(recording.output.value(), weights_);
    } else {
        Var before = nest(recording, DerivativeMode::reverse, order - 2, order - 2, {});
        std::vector<Var> slopes = gradients(before, recording.inputs);
        for (std::size_t i = 0; i < slopes.size(); ++i)
            point.scale +=
                sum_of_absolute_products(slopes[i].value(), tangents_[static_cast<std::size_t>(order - 2)][i]);
    }
    for (Var slope : gradients(recording.phi, recording.inputs)) point.gradient.push_back(slope.value());
    return point;
}

double Projections::Point::largest_gradient(std::size_t input) const {
    double largest = 0;
    for (double element : gradient[input].elements<double>())
        if (std::isfinite(element)) largest = std::max(largest, std::abs(element));
    return largest;
}

double Projections::Point::along(std::size_t input, const std::vector<double>& direction, std::int64_t begin,
                                 std::int64_t end) const {
    std::span<const double> elements = gradient[input].elements<double>();
    if (end == begin + 1) return elements[static_cast<std::size_t>(begin)];
    double sum = 0;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        sum += elements[i] * direction[i];
    return sum;
}

double Projections::moved(int order, std::size_t input, std::int64_t begin, std::int64_t end, double distance) const {
    std::vector<Tensor> point = inputs_;
    point[input] = moved_tensor(inputs_[input], directions_[input], begin, end, distance);
    return where_defined([&] { return record_at(point, order).phi.item(); });
}

std::vector<Tensor> Projections::moved_inputs(double share) const {
    std::vector<Tensor> point;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
        point.push_back(moved_tensor(inputs_[i], directions_[i], 0, size(i), share * scales_[i]));
    return point;
}

double Projections::moved_all(int order, double share) const {
    return where_defined([&] { return record_moved(order, share).phi.item(); });
}

Projections::Nested Projections::nested(DerivativeMode mode, int order, std::optional<std::size_t> only) const {
    Recording recording = record_function(inputs_);
    double value = nest(recording, mode, order, order, only).item(), scale = std::abs(value);
    if (mode == DerivativeMode::reverse) {
        std::vector<Var> slopes = gradients(nest(recording, mode, order, order - 1, {}), recording.inputs);
        for (std::size_t i = 0; i < slopes.size(); ++i)
            scale += sum_of_absolute_products(slopes[i].value(), tangent(order - 1, i, only));
    }
    return {value, scale};
}

double Projections::moved_nested(DerivativeMode mode, int order, std::optional<std::size_t> only,
                                 double distance) const {
    std::vector<Tensor> point;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
        point.push_back(moved_along(inputs_[i], tangent(order - 1, i, only), distance));
    return where_defined([&] { return nest(record_function(point), mode, order, order - 1, {}).item(); });
}

Projections::Beside Projections::derivatives_beside(int order) const {
    Recording recording = record_moved(order, beside);
    Beside result{where_defined([&] { return recording.phi.item(); }), {}};
    if (std::isnan(result.value)) return result;
    std::vector<Var> slopes = gradients(recording.phi, recording.inputs);
    for (std::size_t i = 0; i < slopes.size(); ++i)
        result.slopes.push_back(sum(slopes[i] * tape_.constant(tangent(order - 1, i, {}))).item());
    return result;
}

double Projections::moved_beside(int order, std::optional<std::size_t> only, double distance) const {
    std::vector<Tensor> point = moved_inputs(beside);
    for (std::size_t i = 0; i < point.size(); ++i)
        if (!only || *only == i) point[i] = moved_along(point[i], tangent(order - 1, i, {}), distance);
    return where_defined([&] { return record_at(point, order).phi.item(); });
}

bool Projections::strains_range(int order) const {
    Recording recording = record_at(inputs_, order);
    std::vector<Var> slopes = gradients(recording.phi, recording.inputs);
    auto inputs = static_cast<NodeId>(recording.inputs.size()); // they come first; other sources are as they are meant
    return std::ranges::any_of(nodes_behind(slopes), [&](NodeId id) {
        return (id < inputs || tape_.node(id).op->kind != OpKind::source) && strains(tape_.var(id).value());
    });
}

} // namespace cotape

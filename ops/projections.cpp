#include <cotape/ops/projections.hpp>

#include <algorithm>
#include <bit>
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
/// Elements below this share of their input's scale may be stepped over by the steps that the scale suggests.
constexpr double small = 0x1p-6;

double tangent_size(double size) { return std::clamp(size, 1 / largest_tangent, largest_tangent); }

/// The power of two next to a number; 1 for 0.
double scale_of(double number) { return number == 0 ? 1 : std::exp2(std::round(std::log2(std::abs(number)))); }

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

Projections::Projections(const CheckedFunction& function, const std::vector<Tensor>& inputs, std::uint64_t seed)
    : function_(function), inputs_(inputs), random_(seed) {
    for (const Tensor& input : inputs_) {
        double scale = 0;
        for (double element : input.elements<double>()) scale = std::max(scale, std::abs(element));
        scales_.push_back(scale_of(scale));
        sizes_.emplace_back(static_cast<std::size_t>(input.size()), scales_.back());
    }
    draw_tangents();
    draw_directions();
}

bool Projections::has_small_elements() const {
    for (std::size_t i = 0; i < inputs_.size(); ++i)
        for (double element : inputs_[i].elements<double>())
            if (element != 0 && std::abs(element) < small * scales_[i]) return true;
    return false;
}

void Projections::move_elements_by_their_own_scales() {
    for (std::size_t i = 0; i < inputs_.size(); ++i)
        for (std::size_t k = 0; k < sizes_[i].size(); ++k)
            if (double element = inputs_[i].elements<double>()[k]; element != 0) sizes_[i][k] = scale_of(element);
    draw_tangents();
    draw_directions();
}

void Projections::draw_tangents() {
    tangents_.assign(highest_order, {});
    for (std::vector<Tensor>& tangents : tangents_)
        for (std::size_t i = 0; i < inputs_.size(); ++i)
            tangents.push_back(Tensor::make<double>(inputs_[i].shape(), [&](std::span<double> elements) {
                for (std::size_t k = 0; k < elements.size(); ++k)
                    elements[k] = tangent_size(sizes_[i][k]) * signed_uniform();
            }));
}

double Projections::uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

double Projections::tangent_share() const {
    double share = 0;
    for (const std::vector<double>& sizes : sizes_)
        for (double size : sizes) share = std::max(share, tangent_size(size) / size);
    return share;
}

void Projections::draw_directions() {
    directions_.clear();
    for (const std::vector<double>& sizes : sizes_) {
        directions_.push_back(sizes);
        for (double& element : directions_.back()) element *= signed_uniform();
    }
}

std::optional<Hindrance> Projections::hindrance(const std::vector<std::string>& input_names) {
    Recording recording = record_function(inputs_);
    Tensor first = recording.output.value();
    if (first.dtype() != Dtype::float64)
        return Hindrance{Obstacle::input_type, fmt::format("the function gives {}: derivatives are checked in float64",
                                                           to_string(first.dtype()))};
    if (first.size() == 0) return Hindrance{Obstacle::annihilated, "the function gives no elements"};
    if (first_non_finite(first)) return why_not_finite(recording.inputs, recording.output, input_names);
    if (!same_elements(first, record_function(inputs_).output.value()))
        return Hindrance{Obstacle::not_deterministic, not_deterministic};
    weights_ = Tensor::make<double>(first.shape(), [&](std::span<double> weights) {
        for (double& weight : weights) weight = signed_uniform();
    });
    return std::nullopt;
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
    point.rounding = rounding_error(recording.inputs, recording.phi);
    return point;
}

bool Projections::repeats(int order, const Point& point) const {
    Recording recording = record_at(inputs_, order);
    if (std::bit_cast<std::uint64_t>(recording.phi.item()) != std::bit_cast<std::uint64_t>(point.value)) return false;
    std::vector<Var> slopes = gradients(recording.phi, recording.inputs);
    return std::ranges::equal(slopes, point.gradient, same_elements, &Var::value);
}

double Projections::slope(const Point& point, std::size_t input, std::int64_t begin, std::int64_t end) const {
    std::span<const double> elements = point.gradient[input].elements<double>();
    double sum = 0;
    for (std::int64_t i = begin; i < end; ++i)
        sum += elements[static_cast<std::size_t>(i)] * displacement(input, i, end - begin);
    return sum;
}

double Projections::largest_slope(const Point& point, std::size_t input) const {
    double largest = 0;
    for (std::int64_t i = 0; i < size(input); ++i)
        if (double slope = point.gradient[input].at(i) * element_size(input, i); std::isfinite(slope))
            largest = std::max(largest, std::abs(slope));
    return largest;
}

double Projections::displacement(std::size_t input, std::int64_t element, std::int64_t moving) const {
    return moving == 1 ? element_size(input, element) : directions_[input][static_cast<std::size_t>(element)];
}

Tensor Projections::moved_tensor(std::size_t input, std::int64_t begin, std::int64_t end, double share) const {
    return Tensor::make<double>(inputs_[input].shape(), [&](std::span<double> elements) {
        std::ranges::copy(inputs_[input].elements<double>(), elements.begin());
        for (std::int64_t i = begin; i < end; ++i)
            elements[static_cast<std::size_t>(i)] += share * displacement(input, i, end - begin);
    });
}

double Projections::moved_slope(int order, std::size_t input, std::int64_t begin, std::int64_t end,
                                double share) const {
    return where_defined([&] {
        Recording recording = record_moved(order, share);
        Point point;
        point.gradient.resize(inputs_.size());
        point.gradient[input] = gradient(recording.phi, recording.inputs[input]).value();
        return slope(point, input, begin, end);
    });
}

double Projections::moved(int order, std::size_t input, std::int64_t begin, std::int64_t end, double share) const {
    std::vector<Tensor> point = inputs_;
    point[input] = moved_tensor(input, begin, end, share);
    return where_defined([&] { return record_at(point, order).phi.item(); });
}

std::vector<Tensor> Projections::moved_inputs(double share) const {
    std::vector<Tensor> point;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
        point.push_back(moved_tensor(i, 0, size(i), share));
    return point;
}

double Projections::moved_all(int order, double share) const {
    return where_defined([&] { return record_moved(order, share).phi.item(); });
}

Projections::Nested Projections::nested(DerivativeMode mode, int order, std::optional<std::size_t> only,
                                        double share) const {
    Recording recording = record_function(share == 0 ? inputs_ : moved_inputs(share));
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

Projections::Beside Projections::derivatives_beside(int order, double share) const {
    Recording recording = record_moved(order, beside + share);
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
    return cotape::strains_range(recording.inputs, gradients(recording.phi, recording.inputs));
}

} // namespace cotape

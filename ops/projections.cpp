#include <cotape/ops/projections.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

namespace cotape {
namespace {

constexpr int highest_order = 4;

/// Elements [begin, end) moved by `distance` along `direction`.
Tensor moved_tensor(const Tensor& tensor, const std::vector<double>& direction, std::int64_t begin, std::int64_t end,
                    double distance) {
    return Tensor::make<double>(tensor.shape(), [&](std::span<double> elements) {
        std::ranges::copy(tensor.elements<double>(), elements.begin());
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
            elements[i] += distance * direction[i];
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

} // namespace

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
                for (double& element : elements) element = scales_[i] * sign() * (0.5 + uniform());
            }));
    draw_directions();
}

double Projections::uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

void Projections::draw_directions() {
    directions_.clear();
    for (const Tensor& input : inputs_) {
        directions_.emplace_back(static_cast<std::size_t>(input.size()));
        for (double& element : directions_.back()) element = sign();
    }
}

std::optional<std::string> Projections::obstacle() {
    Tensor first = record_at(inputs_, 0).output.value();
    if (first.dtype() != Dtype::float64)
        return fmt::format("the function gives {}: derivatives are checked in float64", to_string(first.dtype()));
    if (first.size() == 0) return "the function gives no elements";
    if (auto element = first_non_finite(first))
        return fmt::format("the function is not finite at its inputs: {} at element {} of its output", first.at(*element),
                           *element);
    if (!same_elements(first, record_at(inputs_, 0).output.value()))
        return "the function gives another output when it is called again: it is not deterministic";
    weights_ = Tensor::make<double>(first.shape(), [&](std::span<double> weights) {
        for (double& weight : weights) weight = sign() * (0.5 + uniform());
    });
    return std::nullopt;
}

Projections::Recording Projections::record_at(const std::vector<Tensor>& point, int order) const {
    tape_.clear();
    Recording recording;
    for (const Tensor& input : point) recording.inputs.push_back(tape_.variable(input));
    recording.output = function_(recording.inputs);
    if (order == 0) return recording;
    if (!(recording.output.type() == weights_.type()))
        throw ShapeError(fmt::format("check_gradients: the function gives {} at its inputs, and {} close to them",
                                     to_string(weights_.type()), to_string(recording.output.type())));
    recording.phis.push_back(sum(recording.output * tape_.constant(weights_)));
    for (int k = 1; k < order; ++k) {
        std::vector<Var> slopes = gradients(recording.phis.back(), recording.inputs);
        Var phi;
        for (std::size_t i = 0; i < slopes.size(); ++i) {
            Var term = sum(slopes[i] * tape_.constant(tangents_[static_cast<std::size_t>(k - 1)][i]));
            phi = phi ? phi + term : term;
        }
        recording.phis.push_back(phi);
    }
    return recording;
}

Projections::Point Projections::derivatives(int order) const {
    Recording recording = record_at(inputs_, order);
    Point point;
    point.value = recording.phis.back().item();
    if (order == 1) {
        point.scale = sum_of_absolute_products(recording.output.value(), weights_);
    } else {
        std::vector<Var> slopes = gradients(recording.phis[static_cast<std::size_t>(order - 2)], recording.inputs);
        for (std::size_t i = 0; i < slopes.size(); ++i)
            point.scale += sum_of_absolute_products(slopes[i].value(), tangents_[static_cast<std::size_t>(order - 2)][i]);
    }
    for (Var slope : gradients(recording.phis.back(), recording.inputs)) point.gradient.push_back(slope.value());
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
    double sum = 0;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        sum += elements[i] * direction[i];
    return sum;
}

double Projections::moved(int order, std::size_t input, std::int64_t begin, std::int64_t end, double distance) const {
    std::vector<Tensor> point = inputs_;
    point[input] = moved_tensor(inputs_[input], directions_[input], begin, end, distance);
    return record_at(point, order).phis.back().item();
}

double Projections::moved_all(int order, double share) const {
    std::vector<Tensor> point;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
        point.push_back(moved_tensor(inputs_[i], directions_[i], 0, size(i), share * scales_[i]));
    return record_at(point, order).phis.back().item();
}

Projections::Forward Projections::forward(int order, std::optional<std::size_t> only) const {
    Recording recording = record_at(inputs_, order);
    const std::vector<Tensor>& last = tangents_[static_cast<std::size_t>(order - 1)];
    std::vector<Var> slopes = gradients(recording.phis.back(), recording.inputs);
    Forward result{0, 0, 0};
    for (std::size_t i = 0; i < slopes.size(); ++i) {
        if (only && *only != i) continue;
        Tensor slope = slopes[i].value();
        for (std::int64_t k = 0; k < slope.size(); ++k) result.expected += slope.at(k) * last[i].at(k);
        result.scale += sum_of_absolute_products(slope, last[i]);
    }

    Var moving = recording.output;
    for (int k = 0; k < order; ++k) {
        std::vector<Var> tangents;
        for (std::size_t i = 0; i < inputs_.size(); ++i) {
            const Tensor& tangent = tangents_[static_cast<std::size_t>(k)][i];
            bool still = k == order - 1 && only && *only != i;
            tangents.push_back(tape_.constant(still ? Tensor::full(tangent.shape(), 0, Dtype::float64) : tangent));
        }
        moving = jvp(moving, recording.inputs, tangents);
    }
    Tensor moved = moving.value();
    for (std::int64_t k = 0; k < moved.size(); ++k) result.got += moved.at(k) * weights_.at(k);
    result.scale += sum_of_absolute_products(moved, weights_);
    return result;
}

} // namespace cotape

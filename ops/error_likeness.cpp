#include <cotape/ops/error_likeness.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <span>

#include <fmt/format.h>

namespace cotape {
namespace {

bool close(double a, double b, double bound) {
    return std::abs(a - b) <= bound + 1e-6 * std::max(std::abs(a), std::abs(b));
}

class Likeness {
  public:
    explicit Likeness(const WrongDerivative& wrong)
        : wrong_(wrong), got_(wrong.got.elements<double>()), shape_(wrong.got.shape()),
          samples_(wrong.samples) {}

    std::string describe() {
        auto is_right = [&](const Sample& s) { return close(got_[s.element], s.expected, s.bound); };
        auto is_finite = [&](const Sample& s) { return std::isfinite(got_[s.element]); };
        if (std::ranges::all_of(samples_, is_right) || !std::ranges::all_of(samples_, is_finite)) return "";
        for (auto rule : {&Likeness::a_zero, &Likeness::a_constant_factor, &Likeness::a_transposition,
                          &Likeness::a_factor, &Likeness::a_missing_path})
            if (std::string text = (this->*rule)(); !text.empty()) return text;
        std::size_t before = samples_.size();
        std::erase_if(samples_, is_right);
        if (samples_.empty() || samples_.size() == before) return "";
        for (auto rule : {&Likeness::a_zero, &Likeness::a_constant_factor})
            if (std::string text = (this->*rule)(); !text.empty()) return text + ", at some elements";
        return "";
    }

  private:
    using Sample = WrongDerivative::Sample;

    bool all(const std::function<bool(double got, const Sample&)>& holds) const {
        return !samples_.empty() &&
               std::ranges::all_of(samples_, [&](const Sample& s) { return holds(got_[s.element], s); });
    }

    /// The factor c with got = c * expected * scale(element) everywhere, if there is one.
    std::optional<double> common_ratio(const std::function<double(std::size_t)>& scale) const {
        const Sample* largest = nullptr;
        for (const Sample& s : samples_)
            if (std::abs(s.expected) > s.bound && (!largest || std::abs(s.expected) > std::abs(largest->expected)))
                largest = &s;
        if (!largest) return std::nullopt;
        double ratio = got_[largest->element] / (largest->expected * scale(largest->element));
        if (!std::isfinite(ratio)) return std::nullopt;
        bool common = all([&](double got, const Sample& s) {
            double factor = ratio * scale(s.element);
            return close(got, factor * s.expected, std::abs(factor) * s.bound);
        });
        return common ? std::optional(ratio) : std::nullopt;
    }

    std::string a_zero() const {
        bool zero = all([](double got, const Sample&) { return got == 0; });
        return zero ? "a missing path: the derivative is zero" : "";
    }

    std::string a_constant_factor() const {
        std::optional<double> ratio = common_ratio([](std::size_t) { return 1.0; });
        if (!ratio || close(*ratio, 1, 0)) return "";
        if (close(*ratio, -1, 0)) return "a flipped sign";
        std::string sign = *ratio < 0 ? ", and a flipped sign" : "";
        double factor = std::abs(*ratio);
        if (close(factor, 2, 0)) return "a factor 2 too many" + sign;
        if (close(factor, 0.5, 0)) return "a missing factor 2" + sign;
        for (double count : counts()) {
            if (close(factor, count, 0)) return fmt::format("a missing factor 1/{}{}", count, sign);
            if (close(factor, 1 / count, 0)) return fmt::format("a factor 1/{} too many{}", count, sign);
            if (close(factor, count / (count - 1), 0))
                return fmt::format("a division by {} in place of {} (ddof){}", count - 1, count, sign);
            if (close(factor, (count - 1) / count, 0))
                return fmt::format("a division by {} in place of {} (ddof){}", count, count - 1, sign);
        }
        return fmt::format("a constant factor {:.6g} too many", *ratio);
    }

    /// The counts that a derivative may divide by, above 2: extents, numbers of elements, and how many share an output.
    std::vector<double> counts() const {
        std::vector<double> counts;
        for (std::int64_t extent : shape_) counts.push_back(static_cast<double>(extent));
        counts.push_back(static_cast<double>(wrong_.got.size()));
        counts.push_back(static_cast<double>(wrong_.output.size()));
        double shared = counts[counts.size() - 2] / std::max(1.0, counts.back());
        counts.push_back(std::max(shared, 1 / shared));
        std::erase_if(counts, [](double count) { return count <= 2 || count != std::round(count); });
        return counts;
    }

    std::string a_transposition() const {
        if (shape_.size() < 2) return "";
        auto rows = static_cast<std::size_t>(shape_[shape_.size() - 2]),
             columns = static_cast<std::size_t>(shape_.back());
        if (rows == 1 || columns == 1) return "";
        bool transposed = all([&](double, const Sample& s) {
            std::size_t matrix = s.element / (rows * columns), row = s.element / columns % rows,
                        column = s.element % columns;
            return close(got_[(matrix * columns + column) * rows + row], s.expected, s.bound);
        });
        return transposed ? "a transposition" : "";
    }

    std::string a_factor() const {
        auto compare = [&](const Tensor& factor, const std::string& name) -> std::string {
            if (factor.dtype() != Dtype::float64 || !(factor.shape() == shape_)) return "";
            std::span<const double> values = factor.elements<double>();
            auto constant = [](double ratio) {
                return close(ratio, 1, 0) ? std::string() : fmt::format(", and a constant factor {:.6g}", ratio);
            };
            if (auto ratio = common_ratio([&](std::size_t i) { return 1 / values[i]; }))
                return fmt::format("a missing factor: {}{}", name, constant(*ratio));
            if (auto ratio = common_ratio([&](std::size_t i) { return values[i]; }))
                return fmt::format("a factor too many: {}{}", name, constant(*ratio));
            return "";
        };
        if (samples_.size() < 2) return "";
        std::string text = compare(wrong_.weights, "the cotangent");
        if (text.empty()) text = compare(wrong_.output, "the output");
        for (std::size_t i = 0; i < wrong_.inputs.size() && text.empty(); ++i)
            text = compare(wrong_.inputs[i], fmt::format("input {}", i));
        return text;
    }

    /// An error that is constant along an axis, or a straight line in the input: a mean, or a variance, over that axis
    /// whose derivative is missing.
    std::string a_missing_path() const {
        for (std::size_t axis = 0; axis < shape_.size(); ++axis) {
            if (shape_[axis] < 3) continue;
            bool straight = along(axis, true);
            if (straight && along(axis, false)) return fmt::format("a missing path through a mean over axis {}", axis);
            if (straight && shape_[axis] > 3)
                return fmt::format("a missing path through a variance over axis {}", axis);
        }
        return "";
    }

    /// Whether, along `axis`, the error is constant, or with `sloped` a straight line in the input, wherever four
    /// samples lie on one line.
    bool along(std::size_t axis, bool sloped) const {
        std::size_t stride = 1, extent = static_cast<std::size_t>(shape_[axis]), lines = 0;
        for (std::size_t i = axis + 1; i < shape_.size(); ++i) stride *= static_cast<std::size_t>(shape_[i]);
        std::span<const double> x = wrong_.inputs[wrong_.input].elements<double>();
        std::vector<bool> done(samples_.size());
        auto line_of = [&](const Sample& s) { return s.element / (stride * extent) * stride + s.element % stride; };
        for (std::size_t first = 0; first < samples_.size(); ++first) {
            std::vector<const Sample*> line;
            for (std::size_t i = first; i < samples_.size(); ++i) {
                if (done[i] || line_of(samples_[i]) != line_of(samples_[first])) continue;
                line.push_back(&samples_[i]);
                done[i] = true;
            }
            if (line.size() < 3) continue;
            auto error = [&](const Sample* s) { return got_[s->element] - s->expected; };
            auto [low, high] = std::ranges::minmax(line, {}, [&](const Sample* s) { return x[s->element]; });
            double run = x[high->element] - x[low->element];
            double slope = sloped && run != 0 ? (error(high) - error(low)) / run : 0;
            double largest = 0, sum = 0;
            for (const Sample* s : line) largest = std::max(largest, std::abs(error(s)));
            for (const Sample* s : line) sum += error(s);
            if (sloped && line.size() == extent && std::abs(sum) > 1e-6 * largest * static_cast<double>(extent) &&
                slope != 0 && std::abs(error(high) - error(low)) > 1e-6 * largest)
                return false; // no multiple of the distances from a mean
            for (const Sample* s : line) {
                double predicted = error(low) + slope * (x[s->element] - x[low->element]);
                if (std::abs(error(s) - predicted) > 3 * s->bound + 1e-6 * largest) return false;
            }
            ++lines;
        }
        return lines > 0;
    }

    const WrongDerivative& wrong_;
    std::span<const double> got_;
    Shape shape_;
    std::vector<WrongDerivative::Sample> samples_;
};

} // namespace

std::string likeness(const WrongDerivative& wrong) { return Likeness(wrong).describe(); }

} // namespace cotape

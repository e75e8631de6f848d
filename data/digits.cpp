#include <cotape/data/digits.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/data/digit_strokes.hpp>
#include <cotape/core/draws.hpp>

namespace cotape::data {
namespace {

constexpr std::int64_t side = 28;
constexpr int lines_per_span = 5;

struct Point {
    double x;
    double y;
};

Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(double factor, Point a) { return {factor * a.x, factor * a.y}; }
double dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }

/// How one hand writes one digit: from the coordinates of strokes, centred, to pixels.
class Hand {
  public:
    explicit Hand(std::mt19937_64& random) {
        double shear = 0.12 + 0.24 * draw_normal(random);
        // The tangent of half an angle gives sine and cosine without calling either.
        double half = 0.075 * draw_normal(random);
        double cosine = (1 - half * half) / (1 + half * half);
        double sine = 2 * half / (1 + half * half);
        double height = 18.5 + 1.6 * draw_normal(random);
        double width = height * (0.95 + 0.13 * draw_normal(random));
        across_ = {width * cosine, width * sine};
        down_ = {height * (-sine - shear * cosine), height * (cosine - shear * sine)};
        centre_ = {0.5 * side + 1.1 * draw_normal(random), 0.5 * side + 1.1 * draw_normal(random)};
    }

    Point place(Point point) const { return centre_ + (point.x - 0.5) * across_ + (point.y - 0.5) * down_; }

  private:
    Point across_;
    Point down_;
    Point centre_;
};

/// The area that a round pen has passed over, as the squared distance of each pixel's centre from the pen's path.
class Canvas {
  public:
    explicit Canvas(double radius) : radius_(radius) { distance_.fill(std::numeric_limits<double>::infinity()); }

    void draw_line(Point from, Point to) {
        Point along = to - from;
        double length = std::max(dot(along, along), 1e-12);
        double reach = radius_ + 0.5;
        auto [left, right] = pixels(std::min(from.x, to.x) - reach, std::max(from.x, to.x) + reach);
        auto [top, bottom] = pixels(std::min(from.y, to.y) - reach, std::max(from.y, to.y) + reach);
        for (std::int64_t row = top; row < bottom; ++row)
            for (std::int64_t column = left; column < right; ++column) {
                Point away = Point{double(column) + 0.5, double(row) + 0.5} - from;
                Point gap = away - std::clamp(dot(away, along) / length, 0.0, 1.0) * along;
                double& distance = distance_[static_cast<std::size_t>(row * side + column)];
                distance = std::min(distance, dot(gap, gap));
            }
    }

    /// From 0 to 1: how much of a pixel the pen covers, its edge falling off over the width of a pixel.
    double coverage(std::size_t pixel) const {
        return std::clamp(radius_ + 0.5 - std::sqrt(distance_[pixel]), 0.0, 1.0);
    }

  private:
    struct Range {
        std::int64_t first;
        std::int64_t last;
    };

    /// The pixels whose centres lie between two coordinates.
    static Range pixels(double low, double high) {
        return {static_cast<std::int64_t>(std::clamp(low + 0.5, 0.0, double(side))),
                static_cast<std::int64_t>(std::clamp(high + 0.5, 0.0, double(side)))};
    }

    double radius_;
    std::array<double, side * side> distance_;
};

/// Draws the curve through the points: cubic spans whose slope is zero at corners and ends, else that of the chord
/// between the neighbours.
void draw_curve(Canvas& canvas, const Stroke& stroke, std::span<const Point> points) {
    auto slope = [&](std::size_t i) -> Point {
        if (i == 0 || i + 1 == points.size() || stroke[i].corner) return {0, 0};
        return 0.5 * (points[i + 1] - points[i - 1]);
    };
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
        bool straight = stroke[i].corner && stroke[i + 1].corner;
        int lines = straight ? 1 : lines_per_span;
        Point last = points[i];
        for (int line = 1; line <= lines; ++line) {
            double t = double(line) / lines;
            double s = 1 - t;
            Point next = s * s * (1 + 2 * t) * points[i] + t * t * (1 + 2 * s) * points[i + 1] +
                         s * s * t * slope(i) - t * t * s * slope(i + 1);
            canvas.draw_line(last, next);
            last = next;
        }
    }
}

std::int64_t draw_digit(std::mt19937_64& random, std::span<float> pixels) {
    std::uint64_t label = draw_below(random, digit_styles().size());
    const std::vector<DigitStyle>& styles = digit_styles()[label];
    const DigitStyle& style = styles[draw_below(random, styles.size())];
    Hand hand(random);
    Canvas canvas(std::clamp(1.25 + 0.35 * draw_normal(random), 0.6, 2.4));

    std::vector<Point> points;
    for (const Stroke& stroke : style) {
        points.clear();
        for (const StrokePoint& point : stroke) {
            double x = point.x + 0.04 * draw_normal(random);
            double y = point.y + 0.04 * draw_normal(random);
            points.push_back(hand.place({x, y}));
        }
        draw_curve(canvas, stroke, points);
    }

    double ink = draw_uniform(random, 0.9, 1.1);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        double coverage = canvas.coverage(i);
        if (coverage > 0) coverage *= ink * draw_uniform(random, 0.88, 1.1); // uneven paper
        pixels[i] = static_cast<float>(static_cast<int>(255 * std::min(coverage, 1.0) + 0.5)) / 255;
    }
    return static_cast<std::int64_t>(label);
}

/// `part` keeps the digits of training and test apart; every digit has a generator of its own.
Dataset draw_digits(std::int64_t count, std::uint64_t seed, std::uint64_t part) {
    MutableTensor inputs({{count, side * side}, Dtype::float32});
    MutableTensor labels({{count}, Dtype::int64});
    std::span<float> pixels = inputs.elements<float>();
    std::mt19937_64 seeds(2 * seed + part);
    for (std::int64_t& label : labels.elements<std::int64_t>()) {
        std::mt19937_64 random(seeds());
        label = draw_digit(random, pixels.first(side * side));
        pixels = pixels.subspan(side * side);
    }
    return {std::move(inputs).freeze(), std::move(labels).freeze()};
}

} // namespace

Mnist digits(std::int64_t train_count, std::int64_t test_count, std::uint64_t seed) {
    if (train_count < 0 || test_count < 0)
        throw ValueError(fmt::format("digits: expected counts of at least 0, got {} to train with and {} to test with",
                                     train_count, test_count));
    return {draw_digits(train_count, seed, 0), draw_digits(test_count, seed, 1)};
}

} // namespace cotape::data

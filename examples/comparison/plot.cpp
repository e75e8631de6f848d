#include "plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>

#include <fmt/format.h>

namespace comparison {
namespace {

constexpr double panel_width = 460, panel_height = 376, left = 64, right = 24, bottom = 52;
constexpr double legend_left = 40, legend_top = 46, legend_line = 17, legend_column = 200;
constexpr std::size_t legend_columns = 2;
constexpr std::array<const char*, 6> colours{"#1f6fb4", "#d1495b", "#3a8f4d", "#8a5fbf", "#c98a1b", "#4b4b4b"};

std::string escape(const std::string& text) {
    std::string escaped;
    for (char c : text) {
        if (c == '<') escaped += "&lt;";
        else if (c == '>') escaped += "&gt;";
        else if (c == '&') escaped += "&amp;";
        else escaped += c;
    }
    return escaped;
}

/// A range of values, its round ticks, at least `least_step` apart, and where each value lies on the picture.
class Axis {
  public:
    Axis(double low, double high, double least_step, double begin, double end) : begin_(begin), end_(end) {
        if (!(low <= high)) low = 0, high = 1;
        double middle = low / 2 + high / 2, margin = middle == 0 ? 0.5 : std::abs(middle) / 100;
        margin = std::max(margin, least_step / 2);
        if (high - low <= 1e-9 * std::abs(middle)) low = middle - margin, high = middle + margin;
        double raw = std::max(high / 5 - low / 5, least_step);
        double magnitude = std::pow(10, std::floor(std::log10(raw) + 1e-9));
        for (double factor : {1.0, 2.0, 5.0, 10.0})
            if ((step_ = factor * magnitude) >= raw) break;
        low_ = std::floor(low / step_) * step_;
        high_ = std::ceil(high / step_) * step_;
    }
    double position(double value) const { return begin_ + (value - low_) / (high_ - low_) * (end_ - begin_); }
    std::vector<double> ticks() const {
        std::vector<double> values;
        std::int64_t count = std::llround((high_ - low_) / step_);
        for (std::int64_t i = 0; i <= count; ++i) values.push_back(low_ + static_cast<double>(i) * step_);
        return values;
    }
    std::string label(double tick) const {
        if (step_ >= 1e5 || step_ < 1e-5) return fmt::format("{:.3g}", tick);
        int digits = std::max(0, static_cast<int>(-std::floor(std::log10(step_) + 1e-9)));
        return fmt::format("{:.{}f}", std::abs(tick) < step_ / 2 ? 0 : tick, digits);
    }

  private:
    double begin_, end_, low_ = 0, high_ = 1, step_ = 1;
};

std::string path_of(const Curve& curve, const Axis& x, const Axis& y) {
    std::string path;
    bool pen_down = false;
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
        bool finite = std::isfinite(curve.y[i]);
        if (finite)
            path +=
                fmt::format("{}{:.1f} {:.1f} ", pen_down ? "L" : "M", x.position(curve.x[i]), y.position(curve.y[i]));
        pen_down = finite;
    }
    return path;
}

/// The points of a curve that no line reaches.
std::string dots_of(const Curve& curve, const Axis& x, const Axis& y, const char* colour) {
    std::string dots;
    auto finite = [&](std::size_t i) { return i < curve.y.size() && std::isfinite(curve.y[i]); };
    for (std::size_t i = 0; i < curve.y.size(); ++i)
        if (finite(i) && !finite(i - 1) && !finite(i + 1))
            dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\"/>\n",
                                x.position(curve.x[i]), y.position(curve.y[i]), curve.dashed ? "none" : colour, colour);
    return dots;
}

std::string draw(const Panel& panel, double offset, std::map<std::string, const char*>& colour_of) {
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    for (const Curve& curve : panel.curves)
        for (std::size_t i = 0; i < curve.x.size(); ++i) {
            x_low = std::min(x_low, curve.x[i]), x_high = std::max(x_high, curve.x[i]);
            if (!std::isfinite(curve.y[i])) continue;
            y_low = std::min(y_low, curve.y[i]), y_high = std::max(y_high, curve.y[i]);
        }
    std::size_t legend_rows = std::max<std::size_t>(2, (panel.curves.size() + legend_columns - 1) / legend_columns);
    double top = legend_top - 4 + legend_line * static_cast<double>(legend_rows);
    double x_end = panel_width - right, y_begin = panel_height - bottom;
    Axis x(x_low, x_high, 1, left, x_end), y(y_low, y_high, 0, y_begin, top);

    std::string svg = fmt::format("<g transform=\"translate({} 0)\">\n", offset);
    svg += fmt::format("<text class=\"title\" x=\"{}\" y=\"22\">{}</text>\n", (left + x_end) / 2, escape(panel.title));
    for (double tick : y.ticks())
        svg += fmt::format(
            "<path class=\"grid\" d=\"M{} {:.1f} H{}\"/><text class=\"end\" x=\"{}\" y=\"{:.1f}\">{}</text>\n", left,
            y.position(tick), x_end, left - 7, y.position(tick) + 4, y.label(tick));
    for (double tick : x.ticks())
        svg += fmt::format("<path class=\"axis\" d=\"M{:.1f} {} v5\"/><text x=\"{:.1f}\" y=\"{}\">{}</text>\n",
                           x.position(tick), y_begin, x.position(tick), y_begin + 19, x.label(tick));
    svg += fmt::format("<path class=\"axis\" d=\"M{} {} V{} H{}\"/>\n", left, top, y_begin, x_end);
    svg += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", (left + x_end) / 2, panel_height - 12,
                       escape(panel.x_label));
    svg += fmt::format("<text transform=\"translate(16 {}) rotate(-90)\">{}</text>\n", (top + y_begin) / 2,
                       escape(panel.y_label));

    for (std::size_t i = 0; i < panel.curves.size(); ++i) {
        const Curve& curve = panel.curves[i];
        const char* next = colours[colour_of.size() % colours.size()];
        const char* colour = colour_of.try_emplace(curve.group, next).first->second;
        const char* dash = curve.dashed ? " stroke-dasharray=\"6 4\"" : "";
        svg += fmt::format("<path class=\"curve\" stroke=\"{}\"{} d=\"{}\"/>\n", colour, dash, path_of(curve, x, y));
        svg += dots_of(curve, x, y, colour);
        double legend_x = legend_left + legend_column * static_cast<double>(i / legend_rows);
        double legend_y = legend_top + legend_line * static_cast<double>(i % legend_rows);
        svg += fmt::format("<path class=\"curve\" stroke=\"{}\"{} d=\"M{} {} h26\"/>", colour, dash, legend_x,
                           legend_y - 4);
        svg += fmt::format("<text class=\"start\" x=\"{}\" y=\"{}\">{}</text>\n", legend_x + 32, legend_y,
                           escape(curve.name));
    }
    return svg + "</g>\n";
}

} // namespace

std::string to_svg(const std::vector<Panel>& panels) {
    double width = panel_width * static_cast<double>(panels.size());
    std::string svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n", width,
        panel_height);
    svg += "<style>text { font: 12px sans-serif; fill: #333; text-anchor: middle } .title { font-size: 14px } "
           ".start { text-anchor: start } .end { text-anchor: end } .grid { stroke: #ddd; fill: none } "
           ".axis { stroke: #333; fill: none } .curve { fill: none; stroke-width: 2 }</style>\n"
           "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    std::map<std::string, const char*> colour_of;
    for (std::size_t i = 0; i < panels.size(); ++i)
        svg += draw(panels[i], panel_width * static_cast<double>(i), colour_of);
    return svg + "</svg>\n";
}

} // namespace comparison

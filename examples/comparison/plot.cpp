#include "plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>

#include <fmt/format.h>

namespace comparison {
namespace {

constexpr double panel_width = 460, panel_height = 340, left = 64, right = 16, top = 40, bottom = 52;
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

/// A range of values, its round ticks, and where each value lies on the picture.
class Axis {
  public:
    Axis(double low, double high, double begin, double end) : begin_(begin), end_(end) {
        if (!(low <= high)) low = 0, high = 1;
        if (low == high) low -= 0.5, high += 0.5;
        double raw = (high - low) / 5, magnitude = std::pow(10, std::floor(std::log10(raw)));
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
        bool finite = std::isfinite(curve.x[i]) && std::isfinite(curve.y[i]);
        if (finite)
            path += fmt::format("{}{:.1f} {:.1f} ", pen_down ? "L" : "M", x.position(curve.x[i]), y.position(curve.y[i]));
        pen_down = finite;
    }
    return path;
}

std::string draw(const Panel& panel, double offset, std::map<std::string, const char*>& colour_of) {
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    for (const Curve& curve : panel.curves)
        for (std::size_t i = 0; i < curve.x.size(); ++i) {
            if (!std::isfinite(curve.y[i])) continue;
            x_low = std::min(x_low, curve.x[i]), x_high = std::max(x_high, curve.x[i]);
            y_low = std::min(y_low, curve.y[i]), y_high = std::max(y_high, curve.y[i]);
        }
    double x_end = panel_width - right, y_begin = panel_height - bottom;
    Axis x(x_low, x_high, left, x_end), y(y_low, y_high, y_begin, top);

    std::string svg = fmt::format("<g transform=\"translate({} 0)\">\n", offset);
    svg += fmt::format("<text class=\"title\" x=\"{}\" y=\"22\">{}</text>\n", (left + x_end) / 2, escape(panel.title));
    for (double tick : y.ticks())
        svg += fmt::format("<path class=\"grid\" d=\"M{} {:.1f} H{}\"/><text class=\"end\" x=\"{}\" y=\"{:.1f}\">{}</text>\n",
                           left, y.position(tick), x_end, left - 7, y.position(tick) + 4, y.label(tick));
    for (double tick : x.ticks())
        svg += fmt::format("<path class=\"axis\" d=\"M{:.1f} {} v5\"/><text x=\"{:.1f}\" y=\"{}\">{}</text>\n",
                           x.position(tick), y_begin, x.position(tick), y_begin + 19, x.label(tick));
    svg += fmt::format("<path class=\"axis\" d=\"M{} {} V{} H{}\"/>\n", left, top, y_begin, x_end);
    svg += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", (left + x_end) / 2, panel_height - 12, escape(panel.x_label));
    svg += fmt::format("<text transform=\"translate(16 {}) rotate(-90)\">{}</text>\n", (top + y_begin) / 2,
                       escape(panel.y_label));

    double legend = y_begin - 12 - 18 * static_cast<double>(panel.curves.size() - 1);
    for (const Curve& curve : panel.curves) {
        const char* next = colours[colour_of.size() % colours.size()];
        const char* colour = colour_of.try_emplace(curve.name, next).first->second;
        const char* dash = curve.dashed ? " stroke-dasharray=\"6 4\"" : "";
        svg += fmt::format("<path class=\"curve\" stroke=\"{}\"{} d=\"{}\"/>\n", colour, dash, path_of(curve, x, y));
        svg += fmt::format("<path class=\"curve\" stroke=\"{}\"{} d=\"M{} {:.1f} h26\"/>", colour, dash, x_end - 200, legend - 4);
        svg += fmt::format("<text class=\"start\" x=\"{}\" y=\"{:.1f}\">{}</text>\n", x_end - 168, legend, escape(curve.name));
        legend += 18;
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

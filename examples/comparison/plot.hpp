#pragma once

#include <string>
#include <vector>

namespace comparison {

/// A line through the points (x[i], y[i]). Curves of one group share a colour.
struct Curve {
    std::string name, group;
    std::vector<double> x, y;
    bool dashed = false;
};

/// One pair of axes with the curves drawn over them.
struct Panel {
    std::string title, x_label, y_label;
    std::vector<Curve> curves;
};

/// The panels side by side as an SVG picture, each with axes, ticks at round numbers (whole ones below) and a legend
/// above the curves. Points that are not finite interrupt their curve; a point without neighbours is a dot.
std::string to_svg(const std::vector<Panel>& panels);

} // namespace comparison

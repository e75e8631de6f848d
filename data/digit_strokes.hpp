#pragma once

#include <array>
#include <vector>

namespace cotape::data {

/// A point a pen passes: x to the right and y down, a digit filling about 0.15 to 0.85 by 0 to 1. The line is smooth
/// through a point and turns sharply, with straight lines to the neighbouring corners, at a corner.
struct StrokePoint {
    double x;
    double y;
    bool corner = false;
};

/// One line of the pen, put down at the first point and lifted at the last.
using Stroke = std::vector<StrokePoint>;

/// One way of writing a digit.
using DigitStyle = std::vector<Stroke>;

/// The styles of each digit from 0 to 9.
const std::array<std::vector<DigitStyle>, 10>& digit_styles();

} // namespace cotape::data

#include <cotape/data/digit_strokes.hpp>

namespace cotape::data {
namespace {

constexpr bool corner = true;

const std::vector<DigitStyle> zeros = {
    // An oval that closes where it began.
    {{{.50, .02}, {.25, .14}, {.15, .50}, {.26, .87}, {.50, .98}, {.75, .86}, {.85, .50}, {.74, .13}, {.49, .02}}},
    // A narrow one, begun at the right, its end running past its beginning.
    {{{.62, .08}, {.45, .02}, {.28, .22}, {.24, .60}, {.38, .94}, {.60, .92}, {.74, .58}, {.68, .20}, {.50, .05},
      {.38, .12}}},
    // A wide one, left open at the top.
    {{{.42, .10}, {.18, .30}, {.13, .62}, {.34, .92}, {.66, .92}, {.87, .62}, {.82, .28}, {.62, .08}, {.52, .09}}},
};

const std::vector<DigitStyle> ones = {
    {{{.50, .02, corner}, {.50, .98, corner}}},
    {{{.30, .24, corner}, {.54, .02, corner}, {.52, .98, corner}}},
    {{{.32, .20}, {.44, .14}, {.54, .02, corner}, {.54, .97, corner}}, {{.28, .97, corner}, {.78, .97, corner}}},
    {{{.56, .02}, {.52, .35}, {.48, .65}, {.47, .98}}},
};

const std::vector<DigitStyle> twos = {
    // Round head, straight foot.
    {{{.18, .26}, {.30, .06}, {.56, .02}, {.78, .18}, {.72, .44}, {.45, .72}, {.15, .97, corner},
      {.86, .96, corner}}},
    // A loop at the foot.
    {{{.22, .18}, {.45, .02}, {.74, .12}, {.74, .40}, {.52, .68}, {.26, .92}, {.14, .86}, {.28, .76}, {.52, .90},
      {.72, .98}, {.88, .88}}},
    // A swan: short neck, curved foot.
    {{{.26, .20}, {.48, .03}, {.70, .14}, {.66, .42}, {.40, .76}, {.20, .96, corner}, {.50, .90}, {.84, .97}}},
};

const std::vector<DigitStyle> threes = {
    // Two bowls meeting in a cusp.
    {{{.20, .14}, {.48, .02}, {.76, .14}, {.72, .36}, {.44, .47, corner}, {.76, .56}, {.82, .80}, {.52, .98},
      {.16, .88}}},
    // A flat top.
    {{{.20, .04, corner}, {.78, .04, corner}, {.44, .40, corner}, {.74, .48}, {.84, .72}, {.62, .95}, {.18, .90}}},
    // A small loop in the middle.
    {{{.22, .10}, {.52, .02}, {.74, .18}, {.60, .40}, {.42, .46}, {.40, .52}, {.54, .48}, {.76, .58}, {.78, .82},
      {.50, .98}, {.20, .92}}},
};

const std::vector<DigitStyle> fours = {
    // Open: a corner and a stem.
    {{{.26, .04, corner}, {.18, .56, corner}, {.86, .54, corner}}, {{.68, .12, corner}, {.64, .98, corner}}},
    // Closed: a triangle and a stem.
    {{{.64, .98, corner}, {.66, .02, corner}, {.14, .64, corner}, {.88, .64, corner}}},
    // Open and round.
    {{{.20, .06}, {.16, .36}, {.30, .52}, {.54, .50}, {.74, .38}}, {{.78, .04}, {.72, .40}, {.68, .72},
      {.66, .98}}},
    // Begun at the top of the stem, without lifting the pen.
    {{{.30, .03, corner}, {.16, .50}, {.24, .56}, {.70, .50, corner}, {.76, .06, corner}, {.66, .98, corner}}},
};

const std::vector<DigitStyle> fives = {
    // Bar last.
    {{{.28, .05, corner}, {.24, .46, corner}, {.52, .38}, {.80, .56}, {.76, .84}, {.46, .98}, {.16, .88}},
     {{.28, .05, corner}, {.82, .04, corner}}},
    // One line, bar first.
    {{{.84, .03, corner}, {.34, .06, corner}, {.28, .42, corner}, {.60, .42}, {.78, .66}, {.60, .92}, {.20, .95}}},
    // Nearly an S.
    {{{.80, .04}, {.50, .06}, {.30, .18}, {.34, .38}, {.60, .48}, {.76, .66}, {.66, .90}, {.38, .98}, {.16, .90}}},
};

const std::vector<DigitStyle> sixes = {
    // A bent back.
    {{{.70, .03}, {.42, .18}, {.22, .50}, {.22, .80}, {.44, .98}, {.74, .90}, {.80, .68}, {.60, .52}, {.36, .60},
      {.24, .78}}},
    // A straight back.
    {{{.52, .02}, {.36, .34}, {.24, .70}, {.34, .94}, {.60, .97}, {.76, .80}, {.66, .60}, {.42, .62}, {.26, .80}}},
    // A large bowl under a hooked head.
    {{{.80, .12}, {.62, .02}, {.34, .16}, {.17, .52}, {.26, .88}, {.56, .98}, {.82, .78}, {.74, .50}, {.48, .42},
      {.22, .58}}},
};

const std::vector<DigitStyle> sevens = {
    {{{.15, .06, corner}, {.84, .05, corner}, {.42, .98, corner}}},
    // Crossed.
    {{{.17, .06, corner}, {.82, .04, corner}, {.40, .98, corner}}, {{.34, .50, corner}, {.80, .48, corner}}},
    // A bent stem.
    {{{.16, .10}, {.46, .07}, {.84, .04, corner}, {.60, .38}, {.48, .68}, {.46, .98}}},
    // A serif before the bar.
    {{{.18, .22, corner}, {.20, .05, corner}, {.82, .05, corner}, {.58, .45}, {.50, .98}}},
};

const std::vector<DigitStyle> eights = {
    // One line, begun at the upper right.
    {{{.72, .14}, {.48, .02}, {.26, .18}, {.38, .40}, {.66, .58}, {.76, .80}, {.50, .98}, {.24, .82}, {.34, .58},
      {.62, .40}, {.74, .18}, {.66, .06}}},
    // Two rings.
    {{{.50, .03}, {.29, .12}, {.29, .36}, {.50, .46}, {.71, .36}, {.71, .12}, {.49, .03}},
     {{.50, .46}, {.22, .60}, {.22, .86}, {.50, .98}, {.78, .86}, {.78, .60}, {.49, .46}}},
    // A leaning one, open at the top.
    {{{.74, .05}, {.44, .06}, {.30, .26}, {.48, .46}, {.64, .66}, {.60, .90}, {.40, .97}, {.28, .80}, {.44, .56},
      {.66, .34}, {.80, .08}}},
};

const std::vector<DigitStyle> nines = {
    // A ring and a straight stem.
    {{{.74, .16}, {.50, .02}, {.24, .16}, {.24, .40}, {.46, .52}, {.68, .38}, {.75, .10, corner},
      {.68, .98, corner}}},
    // A ring and a tail curving to the left.
    {{{.76, .24}, {.56, .03}, {.28, .14}, {.26, .38}, {.50, .50}, {.74, .32}, {.80, .56}, {.66, .86}, {.30, .97}}},
    // A small ring, its stem leaning.
    {{{.70, .10}, {.44, .04}, {.28, .24}, {.40, .44}, {.64, .36}, {.74, .08, corner}, {.56, .60}, {.44, .98}}},
};

} // namespace

const std::array<std::vector<DigitStyle>, 10>& digit_styles() {
    static const std::array<std::vector<DigitStyle>, 10> styles = {zeros, ones,  twos,   threes, fours,
                                                                   fives, sixes, sevens, eights, nines};
    return styles;
}

} // namespace cotape::data

#include <cotape/core/tape.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/shaping.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// The same elements in row-major order under another shape.
Reference same_elements(Shape shape) {
    return [=](Arrays x) {
        x[0].shape = shape;
        return x[0];
    };
}

/// Each element taken from input 0 at the index that `source` gives.
Reference moved(Shape shape, std::function<Shape(const Shape&)> source) {
    return [=](const Arrays& x) { return Array(shape, [&](const Shape& index) { return x[0][source(index)]; }); };
}

OpRow slice_row(std::string variant, Shape shape, std::int64_t axis, std::int64_t begin, std::int64_t end,
                std::int64_t step, Shape expected, std::int64_t first) {
    std::size_t counted = static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(shape.size()) : axis);
    return {"slice", std::move(variant), [=](const Vars& x) { return slice(x[0], axis, begin, end, step); }, {{shape}},
            moved(expected, [=](Shape index) {
                index[counted] = first + step * index[counted];
                return index;
            })};
}

OpRow pad_row(std::string variant, Shape shape, Shape before, Shape after, double value) {
    return {"pad", std::move(variant), [=](const Vars& x) { return pad(x[0], before, after, value); }, {{shape}},
            [=](const Arrays& x) {
                Shape padded = shape;
                for (std::size_t i = 0; i < shape.size(); ++i) padded[i] += before[i] + after[i];
                return Array(padded, [&](Shape index) {
                    for (std::size_t i = 0; i < index.size(); ++i) {
                        index[i] -= before[i];
                        if (index[i] < 0 || index[i] >= shape[i]) return value;
                    }
                    return x[0][index];
                });
            }};
}

/// Rows of a table by int64 positions that are part of the function.
Tensor repeated_positions() { return Tensor::of<std::int64_t>({4}, {2, 0, 2, 1}); }

} // namespace

std::vector<OpRow> shaping_rows() {
    auto reshape_row = [](Shape from, Shape to, Shape expected) {
        return OpRow{"reshape",
                     to_string(from) + " to " + to_string(to),
                     [=](const Vars& x) { return reshape(x[0], to); },
                     {{from}},
                     same_elements(expected)};
    };
    auto swapped = [](const Shape& index) { return Shape{index[1], index[0]}; };
    auto flatten_row = [](std::string variant, Shape from, std::int64_t start, std::int64_t end, Shape expected) {
        return OpRow{"flatten", std::move(variant), [=](const Vars& x) { return flatten(x[0], start, end); }, {{from}},
                     same_elements(expected)};
    };
    return {
        flatten_row("all axes", {2, 3, 2}, 0, -1, {12}),
        flatten_row("but the batch", {2, 3, 2}, 1, -1, {2, 6}),
        flatten_row("in the middle", {2, 1, 3, 2}, 1, 2, {2, 3, 2}),
        flatten_row("a scalar", {}, 0, -1, {1}),
        flatten_row("no batch", {0, 3, 2}, 1, -1, {0, 6}),
        reshape_row({2, 3}, {6}, {6}),
        reshape_row({2, 3}, {3, -1}, {3, 2}),
        reshape_row({1}, {}, {}),
        reshape_row({}, {1, 1}, {1, 1}),
        reshape_row({0, 2}, {5, 0}, {5, 0}),
        {"permute", "three axes", [](const Vars& x) { return permute(x[0], {2, 0, 1}); }, {{{2, 3, 4}}},
         moved({4, 2, 3}, [](const Shape& index) { return Shape{index[1], index[2], index[0]}; })},
        {"permute", "negative axes", [](const Vars& x) { return permute(x[0], {-1, 0}); }, {{{2, 3}}},
         moved({3, 2}, swapped)},
        {"permute", "nothing to do", [](const Vars& x) { return permute(x[0], {0, 1}); }, {{{2, 3}}},
         same_elements({2, 3})},
        {"transpose", "a matrix", [](const Vars& x) { return transpose(x[0]); }, {{{2, 3}}}, moved({3, 2}, swapped)},
        {"transpose", "a batch", [](const Vars& x) { return transpose(x[0]); }, {{{2, 1, 3}}},
         moved({2, 3, 1}, [](const Shape& index) { return Shape{index[0], index[2], index[1]}; })},
        slice_row("in the middle", {2, 5}, 1, 1, 4, 1, {2, 3}, 1),
        slice_row("of the first axis", {4, 2}, 0, 2, 4, 1, {2, 2}, 2),
        slice_row("every other", {5, 2}, 0, 0, 5, 2, {3, 2}, 0),
        slice_row("every third, from 1", {1, 8}, -1, 1, 8, 3, {1, 3}, 1),
        slice_row("negative positions", {6}, 0, -4, -1, 1, {3}, 2),
        slice_row("everything", {3}, 0, 0, 3, 1, {3}, 0),
        slice_row("nothing", {3, 2}, 0, 1, 1, 1, {0, 2}, 0),
        pad_row("both ends", {3}, {1}, {2}, 0),
        pad_row("both axes, with a value", {2, 2}, {1, 0}, {1, 2}, 2.5),
        pad_row("nothing", {2, 2}, {0, 0}, {0, 0}, 1),
        {"concatenate", "rows", [](const Vars& x) { return concatenate({x[0], x[1]}, 0); }, {{{1, 2}}, {{2, 2}}},
         [](const Arrays& x) {
             return Array({3, 2}, [&](const Shape& i) { return i[0] < 1 ? x[0](i[0], i[1]) : x[1](i[0] - 1, i[1]); });
         }},
        {"concatenate", "three along a negative axis",
         [](const Vars& x) { return concatenate({x[0], x[1], x[0]}, -1); }, {{{2, 1}}, {{2, 2}}},
         [](const Arrays& x) {
             return Array({2, 4}, [&](const Shape& i) {
                 return i[1] == 1 || i[1] == 2 ? x[1](i[0], i[1] - 1) : x[0](i[0], 0);
             });
         }},
        {"concatenate", "with an empty one", [](const Vars& x) { return concatenate({x[0], x[1]}, 0); },
         {{{3}}, {{0}}}, same_elements({3})},
        {"concatenate", "one alone", [](const Vars& x) { return concatenate({x[0]}, 0); }, {{{3}}}, same_elements({3})},
        {"stack", "a new first axis", [](const Vars& x) { return stack({x[0], x[1]}); }, {{{3}}, {{3}}},
         [](const Arrays& x) {
             return Array({2, 3}, [&](const Shape& i) { return x[static_cast<std::size_t>(i[0])](i[1]); });
         }},
        {"stack", "a new last axis", [](const Vars& x) { return stack({x[0], x[1]}, -1); }, {{{2}}, {{2}}},
         [](const Arrays& x) {
             return Array({2, 2}, [&](const Shape& i) { return x[static_cast<std::size_t>(i[1])](i[0]); });
         }},
        {"stack", "scalars", [](const Vars& x) { return stack({x[0], x[1]}); }, {OpInput{}, OpInput{}},
         [](const Arrays& x) {
             return Array({2}, [&](const Shape& i) { return x[static_cast<std::size_t>(i[0])][{}]; });
         }},
        {"take", "rows, some of them twice",
         [](const Vars& x) { return take(x[0], x[0].tape().constant(repeated_positions())); }, {{{3, 2}}},
         [](const Arrays& x) {
             std::vector<std::int64_t> rows{2, 0, 2, 1};
             return Array({4, 2}, [&](const Shape& i) { return x[0](rows[static_cast<std::size_t>(i[0])], i[1]); });
         }},
        {"take", "positions of two axes", [](const Vars& x) { return take(x[0], x[1]); },
         {{{3}}, {{2, 2}, positions(3), false}},
         [](const Arrays& x) {
             return Array({2, 2}, [&](const Shape& i) { return x[0](static_cast<std::int64_t>(x[1][i])); });
         }},
        {"scatter_add", "rows, some of them twice",
         [](const Vars& x) { return scatter_add(x[0], x[0].tape().constant(repeated_positions()), 4); }, {{{4, 2}}},
         [](const Arrays& x) {
             return Array({4, 2}, [&](const Shape& i) {
                 if (i[0] == 2) return x[0](0, i[1]) + x[0](2, i[1]);
                 return i[0] == 3 ? 0 : i[0] == 0 ? x[0](1, i[1]) : x[0](3, i[1]);
             });
         }},
        {"scatter_add", "no positions", [](const Vars& x) { return scatter_add(x[0], x[1], 2); },
         {{{0, 2}}, {{0}, positions(1), false}},
         [](const Arrays&) { return Array({2, 2}, [](const Shape&) { return 0; }); }},
        {"one_hot", "", [](const Vars& x) { return one_hot(x[0], 3, Dtype::float64); }, {{{5}, positions(3), false}},
         [](const Arrays& x) {
             return Array({5, 3}, [&](const Shape& i) { return x[0](i[0]) == double(i[1]) ? 1 : 0; });
         }},
    };
}

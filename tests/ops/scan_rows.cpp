#include <cotape/ops/scans.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

/// Each element folded with those before it along an axis.
Reference scanned(std::size_t axis, double start, double (*step)(double, double)) {
    return [=](const Arrays& x) {
        return Array(x[0].shape, [&](Shape index) {
            double result = start;
            for (std::int64_t last = index[axis], k = 0; k <= last; ++k) {
                index[axis] = k;
                result = step(result, x[0][index]);
            }
            return result;
        });
    };
}

double plus(double a, double b) { return a + b; }
double times(double a, double b) { return a * b; }

} // namespace

std::vector<OpRow> scan_rows() {
    auto sums = [](std::string variant, Shape shape, std::int64_t axis, std::size_t counted) {
        return OpRow{"cumsum", std::move(variant), [=](const Vars& x) { return cumsum(x[0], axis); }, {{shape}},
                     scanned(counted, 0, plus)};
    };
    auto products = [](std::string variant, Shape shape, std::int64_t axis, std::size_t counted, Domain domain) {
        return OpRow{"cumprod",
                     std::move(variant),
                     [=](const Vars& x) { return cumprod(x[0], axis); },
                     {{shape, domain}},
                     scanned(counted, 1, times)};
    };
    return {
        sums("a vector", {5}, 0, 0),
        sums("rows", {2, 3}, -1, 1),
        sums("in the middle", {2, 3, 2}, 1, 1),
        sums("one", {1}, 0, 0),
        sums("nothing", {0, 2}, 0, 0),
        products("a vector", {6}, 0, 0, between(0.5, 1.5)),
        products("in the middle", {2, 3, 2}, 1, 1, between(-1, 1)),
        products("with one zero", {5}, 0, 0, given({2, -1, 0, 3, 0.5})),
        products("with two zeros", {5}, 0, 0, given({2, 0, 3, 0, 0.5})),
        products("nothing but zeros", {4}, 0, 0, given({0, 0, 0, 0})),
        products("one", {1, 2}, 0, 0, between(-1, 1)),
    };
}

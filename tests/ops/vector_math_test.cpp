#include <cotape/ops/vector_math.hpp>

#include <doctest/doctest.h>

namespace {

/// The largest distance, in units of the last place, between a float function and the same function in double, over
/// floats of every magnitude and sign. NaN and infinities must be the same in both.
template <class Short, class Exact>
double worst_error(Short function, Exact exact) {
    double worst = 0;
    for (std::uint64_t bits = 0; bits < std::uint64_t(1) << 32; bits += 100'003) {
        float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
        float got = function(x);
        double expected = exact(static_cast<double>(x));
        float rounded = static_cast<float>(expected);
        if (std::isfinite(rounded) && std::isfinite(got)) {
            double unit = static_cast<double>(std::nextafter(std::abs(rounded), INFINITY) - std::abs(rounded));
            worst = std::fmax(worst, std::abs(static_cast<double>(got) - expected) / unit);
        } else if (!(std::isnan(rounded) && std::isnan(got)) && rounded != got) {
            return INFINITY;
        }
    }
    return worst;
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("the vectorised float functions are within 0.51 units of the last place") {
        namespace vector_math = cotape::vector_math;
        CHECK(worst_error([](float x) { return vector_math::exp(x); }, [](double x) { return std::exp(x); }) < 0.51);
        CHECK(worst_error([](float x) { return vector_math::log(x); }, [](double x) { return std::log(x); }) < 0.51);
        CHECK(worst_error([](float x) { return vector_math::expm1(x); }, [](double x) { return std::expm1(x); }) <
              0.51);
        CHECK(worst_error([](float x) { return vector_math::log1p(x); }, [](double x) { return std::log1p(x); }) <
              0.51);
        CHECK(worst_error([](float x) { return vector_math::tanh(x); }, [](double x) { return std::tanh(x); }) < 0.51);
        CHECK(worst_error([](float x) { return vector_math::sigmoid(x); },
                          [](double x) { return vector_math::sigmoid(x); }) < 0.51);
        CHECK(worst_error([](float x) { return vector_math::softplus(x); },
                          [](double x) { return vector_math::softplus(x); }) < 0.51);
    }
}

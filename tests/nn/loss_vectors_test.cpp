#include <cotape/ops/losses.hpp>

#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>

#include "numbers.hpp"
#include "vectors.hpp"

using namespace cotape;
using namespace cotape::testing;
using nlohmann::json;

namespace {

Reduction reduction_of(const json& options) {
    return options["reduction"] == "sum" ? Reduction::sum
                                         : options["reduction"] == "none" ? Reduction::none : Reduction::mean;
}

Var computed(const json& one, Var x) {
    const json &inputs = one["inputs"], &options = one["options"];
    if (one["kind"] == "gelu")
        return options["approximate"] == "tanh" ? gelu(x, {.approximate = GeluApproximation::tanh}) : gelu(x);
    if (one["kind"] == "cross_entropy") {
        CrossEntropyOptions given{.label_smoothing = options["label_smoothing"],
                                  .reduction = reduction_of(options),
                                  .ignore_index = options["ignore_index"].get<std::int64_t>()};
        if (!options["weight"].is_null()) given.class_weights = tensor_of(options["weight"]);
        return cross_entropy(x, tensor_of(inputs[1]).as(Dtype::int64), given);
    }
    Var target = x.tape().constant(tensor_of(inputs[1]));
    auto loss = one["kind"] == "mean_squared_error" ? mean_squared_error : binary_cross_entropy_with_logits;
    return loss(x, target, {.reduction = reduction_of(options)});
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("losses and gelu have PyTorch's values and gradients, with every option") {
        json cases = vectors("losses");
        REQUIRE(cases.size() == 32);
        for (const json& one : cases) {
            CAPTURE(one["kind"].get<std::string>());
            CAPTURE(one["options"].dump());
            Tape tape;
            Var x = tape.variable(tensor_of(one["inputs"][0])), y = computed(one, x);
            CHECK(y.shape() == tensor_of(one["y"]).shape());
            // Sums of up to fifteen terms of size one.
            CHECK(distance(y.value(), elements_of(tensor_of(one["y"]))) < 1e-14);
            Var slope = gradient(y, x, tape.constant(tensor_of(one["weights"])));
            CHECK(distance(slope.value(), elements_of(tensor_of(one["gradient"]))) < 1e-14);
        }
    }

    TEST_CASE("logits of ignored examples count nowhere, NaN included, and where all are ignored the mean is NaN") {
        Tape tape;
        Var logits = tape.variable(Tensor::of<double>({2, 2}, {NAN, 1, 0, 0}));
        for (double smoothing : {0.0, 0.1}) {
            Var loss = cross_entropy(logits, Tensor::of<std::int64_t>({2}, {-1, 0}),
                                     {.label_smoothing = smoothing, .ignore_index = -1});
            CHECK(loss.item() == doctest::Approx(std::log(2)));
        }
        Var none = cross_entropy(logits, Tensor::of<std::int64_t>({2}, {1, 1}), {.ignore_index = 1});
        CHECK(std::isnan(none.item()));
    }

    TEST_CASE("a label that is not the ignored one is refused outside the classes") {
        Tape tape;
        Var logits = tape.variable(Tensor::full({2, 2}, 0));
        CHECK_THROWS_WITH_AS(cross_entropy(logits, Tensor::of<std::int64_t>({2}, {-7, -1}), {.ignore_index = -7}),
                             "cross_entropy: label -1 at index 1 is outside the 2 classes", ValueError);
        CHECK_THROWS_WITH_AS(cross_entropy(logits, Tensor::of<std::int64_t>({2}, {0, -100})),
                             "cross_entropy: label -100 at index 1 is outside the 2 classes", ValueError);
    }
}

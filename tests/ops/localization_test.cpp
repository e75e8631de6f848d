#include <algorithm>
#include <cmath>
#include <source_location>
#include <stdexcept>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cotape/core/custom_derivative.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/elementwise.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/gradient_check.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

using namespace cotape;

namespace {

using Vars = std::vector<Var>;

Tensor scattered(const Shape& shape, double phase = 0) {
    return Tensor::make<double>(shape, [&](std::span<double> elements) {
        for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(12.9898 * double(i + 1) + phase);
    });
}

Var detached(Var x) { return x.tape().constant(x.value()); }

/// A product of two with a rule of its own for each input.
template <class First, class Second>
Op product(First first, Second second) {
    return elementwise("product", [](auto a, auto b) { return a * b; }, first, second);
}

const auto right_first = [](Var, Var g, Var, Var b) { return g * b; };
const auto right_second = [](Var, Var g, Var a, Var) { return g * a; };

/// The normalisation of the columns of a matrix, with a derivative of its own.
using Backward = Var (*)(Var y, Var g, Var x);
Op normalization(Backward backward) {
    return {.name = "normalize",
            .type = [](const Call& call) { return call.type(0); },
            .kernel =
                [](const Call&, const Type&, std::span<const Tensor> inputs) {
                    Tape tape;
                    Var x = tape.constant(inputs[0]);
                    return ((x - batch_mean(x)) * rsqrt(batch_variance(x))).value();
                },
            .derivative = [backward](const Rule& rule) { return backward(rule.y, rule.g, rule.x[0]); }};
}

Var sigma_of(Var g, Var x) { return g * rsqrt(batch_variance(x)); }
const Op without_mean = normalization([](Var y, Var g, Var x) { return sigma_of(g - y * batch_mean(g * y), x); });
const Op without_variance = normalization([](Var, Var g, Var x) { return sigma_of(g - batch_mean(g), x); });
const Op saved_sigma = normalization([](Var y, Var g, Var x) {
    return (g - batch_mean(g) - y * batch_mean(g * y)) * detached(rsqrt(batch_variance(x)));
});

/// The only rule that a failed check blames.
WrongRule blamed(const CheckedFunction& function, const std::vector<Tensor>& inputs, int order = 1) {
    GradientCheckReport report = check_gradients(function, inputs, {.order = order});
    INFO(to_string(report));
    CHECK(report.verdict == Verdict::fail);
    REQUIRE(report.wrong_rules.size() == 1);
    return report.wrong_rules.front();
}

/// What a wrong rule for the first factor of a product looks like.
template <class Derivative>
std::string looks(Derivative derivative) {
    static const Op op = product(derivative, right_second);
    return blamed([](const Vars& x) { return tanh(record(op, {exp(x[0]), x[1]})); },
                  {scattered({2, 5}), scattered({2, 5}, 1)})
        .resembles;
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("a failed check names the op, the line, the module, the input and the worst element") {
        static const Op op = product(right_first, [](Var, Var g, Var a, Var) { return 1.5 * g * a; });
        unsigned line = 0;
        WrongRule rule = blamed(
            [&](const Vars& x) {
                Var hidden = tanh(matmul(x[0], x[1]));
                Tape::ModuleScope outer(x[0].tape(), "net", Where::current());
                line = Where::current().line() + 1;
                Tape::ModuleScope inner(x[0].tape(), "2", Where::current());
                return sum(exp(record(op, {hidden, sigmoid(x[2])})), {0});
            },
            {scattered({4, 3}), scattered({3, 2}, 1), scattered({4, 2}, 2)});
        CHECK(rule.op == "product");
        CHECK(rule.file.ends_with("localization_test.cpp"));
        CHECK(rule.line == line - 2);
        CHECK(rule.module == "net.2");
        CHECK(rule.worst.input == 1);
        CHECK(rule.worst.element >= 0);
        CHECK(rule.worst.got / rule.worst.expected == doctest::Approx(1.5));
        CHECK(rule.worst.error > rule.worst.bound);
        CHECK(rule.resembles == "a constant factor 1.5 too many");
    }

    TEST_CASE("an error is described by what it looks like") {
        CHECK(looks([](Var, Var g, Var, Var b) { return -g * b; }) == "a flipped sign");
        CHECK(looks([](Var, Var g, Var, Var b) { return 2 * g * b; }) == "a factor 2 too many");
        CHECK(looks([](Var, Var g, Var, Var b) { return -0.5 * g * b; }) == "a missing factor 2, and a flipped sign");
        CHECK(looks([](Var, Var g, Var, Var b) { return 5 * g * b; }) == "a missing factor 1/5");
        CHECK(looks([](Var, Var g, Var, Var b) { return g * b / 10; }) == "a factor 1/10 too many");
        CHECK(looks([](Var, Var g, Var, Var b) { return g * b * (5.0 / 4); }) ==
              "a division by 4 in place of 5 (ddof)");
        CHECK(looks([](Var, Var g, Var, Var b) { return 0 * g * b; }) == "a missing path: the derivative is zero");
        CHECK(looks([](Var, Var g, Var, Var) { return g; }) == "a missing factor: input 1");
        CHECK(looks([](Var, Var, Var, Var b) { return b; }) == "a missing factor: the cotangent");
        CHECK(looks([](Var, Var g, Var a, Var b) { return g * b * a; }) == "a factor too many: input 0");
        CHECK(looks([](Var, Var g, Var, Var b) { return g * b * where(greater(b, 0), 1, -1); }) ==
              "a flipped sign, at some elements");
        CHECK(looks([](Var, Var g, Var a, Var b) { return g * b + a; }) == "");
    }

    TEST_CASE("a wrong rule that a user gave a composed function is named, and what the rule stands in for is not") {
        static const Op replaced = elementwise(
            "replaced", [](auto x) { return x * x; }, [](Var, Var g, Var x) { return 3 * g * x; });
        auto function = [](const Vars& in) { return record(replaced, {in[0]}) * exp(in[1]); };
        auto right = [](Var y, Var g, const Vars& in) { return Vars{2 * g * in[0] * exp(in[1]), g * y}; };
        auto wrong = [](Var y, Var g, const Vars& in) { return Vars{2 * g * in[0] * exp(in[1]), 1.7 * g * y}; };
        unsigned line = 0;
        auto net = [&](const DerivativeRule& rule) {
            return [&](const Vars& x) {
                Tape::ModuleScope scope(x[0].tape(), "net", Where::current());
                line = Where::current().line() - 1;
                return sum(tanh(with_derivative(function, rule, {.name = "bump"})({sigmoid(x[0]), x[1]})), {0});
            };
        };
        std::vector<Tensor> inputs{scattered({4, 3}), scattered({4, 3}, 1)};
        CHECK(check_gradients(net(right), inputs, {.order = 3}));
        WrongRule rule = blamed(net(wrong), inputs);
        CHECK(rule.op == "bump");
        CHECK(rule.file.ends_with("localization_test.cpp"));
        CHECK(rule.line == line);
        CHECK(rule.module == "net");
        CHECK(rule.worst.input == 1);
        CHECK(rule.worst.got / rule.worst.expected == doctest::Approx(1.7));
        CHECK(rule.resembles == "a constant factor 1.7 too many");
    }

    TEST_CASE("an op that cannot be tested alone does not keep the others from being") {
        static const Op alone = [] {
            Op op = elementwise("alone", [](auto x) { return 2 * x; }, [](Var, Var g, Var) { return 2 * g; });
            op.derivative = [](const Rule& rule) {
                if (rule.x[0].id() == 0) throw std::runtime_error("alone: needs company");
                return 2 * rule.g;
            };
            return op;
        }();
        static const Op wrong = product(right_first, [](Var, Var g, Var, Var) { return g; });
        WrongRule rule = blamed(
            [](const Vars& x) {
                return record(wrong, {record(alone, {exp(x[0])}), x[1]});
            },
            {scattered({4}), scattered({4}, 1)});
        CHECK(rule.op == "product");
    }

    TEST_CASE("a sum over a broadcast axis that is a mean is a missing count") {
        static const Op op = [] {
            Op mended = product(right_first, right_second);
            mended.derivative = [](const Rule& rule) {
                Var all = rule.g * rule.x[1 - rule.input];
                return rule.input == 0 ? all : mean(all, {0});
            };
            return mended;
        }();
        WrongRule rule = blamed(
            [](const Vars& x) {
                return record(op, {x[0], x[1]});
            },
            {scattered({7, 3}), scattered({3}, 1)});
        CHECK(rule.worst.input == 1);
        CHECK(rule.resembles == "a factor 1/7 too many");
    }

    TEST_CASE("a transposed factor of a matrix product is recognised") {
        static const Op op = {.name = "gram",
                              .type = [](const Call& call) { return call.type(0); },
                              .kernel = [](const Call&, const Type&,
                                           std::span<const Tensor> inputs) { return inputs[0]; },
                              .derivative = [](const Rule& rule) { return transpose(rule.g); }};
        CHECK(blamed([](const Vars& x) { return matmul(record(op, {x[0]}), x[1]); },
                     {scattered({4, 4}), scattered({4, 2}, 1)}).resembles == "a transposition");
    }

    TEST_CASE("a normalisation without the path through its mean or its variance is recognised") {
        auto looks = [](const Op& op, int order) {
            return blamed([&](const Vars& x) { return tanh(record(op, {2 * x[0]})); }, {scattered({6, 3})}, order)
                .resembles;
        };
        CHECK(looks(without_mean, 1) == "a missing path through a mean over axis 0");
        CHECK(looks(without_variance, 1) == "a missing path through a variance over axis 0");
        CHECK(looks(saved_sigma, 2) == "a value of the forward pass that was saved as a constant");
    }

    TEST_CASE("an input used twice, integers and attributes do not keep a rule from being found") {
        static const Op op = product([](Var, Var g, Var, Var b) { return -g * b; }, right_second);
        WrongRule rule = blamed(
            [&](const Vars& x) {
                Var rows = take(x[0], x[0].tape().constant(Tensor::of<std::int64_t>({3}, {2, 0, 2})));
                Var y = permute(rows, {1, 0});
                return mean(record(op, {y, y}), {1}, {.keep_dims = true}) + slice(y, 1, 0, 1);
            },
            {scattered({3, 4})});
        CHECK(rule.op == "product");
        CHECK(rule.worst.input == 0);
        CHECK(rule.resembles == "a flipped sign");
    }

    TEST_CASE("a rule that a rule is written with is blamed, not its user") {
        static const Op inner = elementwise(
            "inner", [](auto x) { return x * x; }, [](Var, Var g, Var x) { return g * x; });
        static const Op outer = elementwise(
            "outer", [](auto x) { return x * x * x; }, [](Var, Var g, Var x) { return 3 * g * record(inner, {x}); });
        WrongRule rule = blamed([](const Vars& x) { return record(outer, {x[0]}); }, {scattered({3})}, 2);
        CHECK(rule.op == "inner");
        CHECK(rule.resembles == "a missing factor 2");
    }

    TEST_CASE("a value that was read and recorded again is found where every rule is right") {
        unsigned line = 0;
        WrongRule rule = blamed(
            [&](const Vars& x) {
                line = Where::current().line() + 1;
                Var saved = x[0].tape().constant(batch_variance(x[0]).value());
                return (x[0] - batch_mean(x[0])) * rsqrt(saved + 1e-5);
            },
            {scattered({5, 2})});
        CHECK(rule.op == "constant");
        CHECK(rule.line == line);
        CHECK(rule.resembles == "a value that depends on the inputs, recorded as a constant");
    }

    TEST_CASE("a rule that is wrong from order 2 on is named where its derivative does not mention the output") {
        static const Op frozen_square = elementwise(
            "frozen_square", [](auto x) { return x * x; }, [](Var, Var g, Var x) { return g * 2 * detached(x); });
        WrongRule alone = blamed([](const Vars& x) { return record(frozen_square, {x[0]}); }, {scattered({3})}, 2);
        CHECK(alone.op == "frozen_square");
        WrongRule last = blamed([](const Vars& x) { return sum(record(frozen_square, {tanh(x[0])})); },
                                {scattered({3})}, 2);
        CHECK(last.op == "frozen_square");
        CHECK(last.resembles == "a value of the forward pass that was saved as a constant");
    }

    TEST_CASE("an error that is at none of the elements looked at, or not a number, looks like nothing") {
        static const Op rare = elementwise(
            "rare", [](auto x) { return x * x; },
            [](Var, Var g, Var x) { return g * 2 * x * (1 + 0.01 * greater(x, 0.99999)); });
        Tensor many = scattered({3000});
        REQUIRE(std::ranges::any_of(many.elements<double>(), [](double x) { return x > 0.99999; }));
        CHECK(blamed([](const Vars& x) { return record(rare, {x[0]}); }, {many}).resembles == "");
        static const Op undefined = elementwise(
            "undefined", [](auto x) { return x * x; }, [](Var, Var g, Var x) { return g * log(-square(x)); });
        CHECK(blamed([](const Vars& x) { return record(undefined, {x[0]}); }, {scattered({7})}).resembles == "");
    }

    TEST_CASE("a wrong rule of an op with many elements is found and described") {
        static const Op op = product(right_first, [](Var, Var g, Var a, Var) { return 1.01 * g * a; });
        WrongRule rule = blamed([](const Vars& x) { return matmul(record(op, {x[0], x[1]}), x[2]); },
                                {scattered({40, 30}), scattered({40, 30}, 1), scattered({30, 4}, 2)});
        CHECK(rule.op == "product");
        CHECK(rule.worst.input == 1);
        CHECK(rule.resembles == "a constant factor 1.01 too many");
    }

    TEST_CASE("the JSON of a failed check names the wrong rules") {
        static const Op op = product([](Var, Var g, Var, Var b) { return -g * b; }, right_second);
        GradientCheckReport report = check_gradients([](const Vars& x) { return record(op, {x[0], x[1]}); },
                                                     {scattered({3}), scattered({3}, 1)});
        nlohmann::json json = nlohmann::json::parse(to_json(report));
        REQUIRE(json["wrong_rules"].size() == 1);
        CHECK(json["wrong_rules"][0]["op"] == "product");
        CHECK(json["wrong_rules"][0]["line"].is_number());
        CHECK(json["wrong_rules"][0]["worst"]["input"] == 0);
        CHECK(json["wrong_rules"][0]["resembles"] == "a flipped sign");
    }
}

#include "peer_checkers.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include <cotape/core/draws.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

using Tensors = std::vector<Tensor>;
using Vars = std::vector<Var>;
/// A function of several outputs.
using Functions = std::function<Vars(const Vars&)>;

Tensor normal_like(const Tensor& tensor, std::mt19937_64& random) {
    return Tensor::make<double>(tensor.shape(), [&](std::span<double> elements) {
        for (double& element : elements) element = draw_normal(random);
    });
}

Tensors normal_like(const Tensors& tensors, std::mt19937_64& random) {
    Tensors result;
    for (const Tensor& tensor : tensors) result.push_back(normal_like(tensor, random));
    return result;
}

Tensor moved(const Tensor& tensor, std::int64_t element, double distance) {
    return Tensor::make<double>(tensor.shape(), [&](std::span<double> elements) {
        std::ranges::copy(tensor.elements<double>(), elements.begin());
        elements[static_cast<std::size_t>(element)] += distance;
    });
}

Tensors moved(const Tensors& tensors, const Tensors& along, double distance) {
    Tensors result;
    for (std::size_t i = 0; i < tensors.size(); ++i)
        result.push_back(Tensor::make<double>(tensors[i].shape(), [&](std::span<double> elements) {
            for (std::size_t k = 0; k < elements.size(); ++k)
                elements[k] = tensors[i].elements<double>()[k] + distance * along[i].elements<double>()[k];
        }));
    return result;
}

double dot(const Tensor& a, const Tensor& b) {
    double sum = 0;
    for (std::int64_t i = 0; i < a.size(); ++i) sum += a.at(i) * b.at(i);
    return sum;
}

Vars variables(Tape& tape, const Tensors& tensors) {
    Vars vars;
    for (const Tensor& tensor : tensors) vars.push_back(tape.variable(tensor));
    return vars;
}

Tensor value_at(const CheckedFunction& function, const Tensors& inputs) {
    Tape tape;
    return function(variables(tape, inputs)).value();
}

Tensors gradients_at(const CheckedFunction& function, const Tensors& inputs, const Tensor& cotangent) {
    Tape tape;
    Vars x = variables(tape, inputs);
    Tensors result;
    for (Var slope : gradients(function(x), x, tape.constant(cotangent))) result.push_back(slope.value());
    return result;
}

/// Calls `accepts(got, difference)` for each element of the inputs: the gradient of the output times `cotangent`, and
/// its central difference at a step of `step(element's value)`.
bool each_element(const CheckedFunction& function, const Tensors& inputs, const Tensor& cotangent,
                  const std::function<double(double)>& step, const std::function<bool(double, double)>& accepts) {
    Tensors slopes = gradients_at(function, inputs, cotangent);
    for (std::size_t i = 0; i < inputs.size(); ++i)
        for (std::int64_t k = 0; k < inputs[i].size(); ++k) {
            double h = step(inputs[i].at(k));
            Tensors above = inputs, below = inputs;
            above[i] = moved(inputs[i], k, h);
            below[i] = moved(inputs[i], k, -h);
            double difference =
                (dot(value_at(function, above), cotangent) - dot(value_at(function, below), cotangent)) / (2 * h);
            if (!accepts(slopes[i].at(k), difference)) return false;
        }
    return true;
}

/// numpy.allclose and torch.allclose, which are not symmetric.
bool all_close(double got, double expected, double absolute, double relative) {
    return std::abs(got - expected) <= absolute + relative * std::abs(expected);
}

/// dynet/grad-check.cc: a step of 0.005; an absolute error of 0.01 passes, and above it a relative error of 0.01.
bool dynet_accepts(const CheckedFunction& function, const Tensors& inputs, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Tensor weights = normal_like(value_at(function, inputs), random);
    return each_element(function, inputs, weights, [](double) { return 5e-3; }, [](double got, double expected) {
        double error = std::abs(got - expected), largest = std::max(std::abs(got), std::abs(expected));
        if (error > 0.01 && largest > 0) error /= largest;
        return error <= 0.01;
    });
}

/// dlib/dnn/core.h, test_layer: a relative error of 0.01 passes, at any of three steps relative to the element.
bool dlib_accepts(const CheckedFunction& function, const Tensors& inputs, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Tensor weights = normal_like(value_at(function, inputs), random);
    return std::ranges::any_of(std::initializer_list<double>{1e-4, 1e-3, 1e-2}, [&](double base) {
        return each_element(function, inputs, weights, [&](double x) { return x == 0 ? base : base * x; },
                            [](double got, double expected) {
                                return std::abs((expected - got) / (expected + 1e-100)) <= 0.01;
                            });
    });
}

/// torch.autograd.gradcheck with its defaults: each element of the Jacobian.
bool pytorch_accepts(const CheckedFunction& function, const Tensors& inputs, std::uint64_t) {
    Tensor output = value_at(function, inputs);
    for (std::int64_t k = 0; k < output.size(); ++k) {
        Tensor one = moved(Tensor::full(output.shape(), 0, Dtype::float64), k, 1);
        if (!each_element(function, inputs, one, [](double) { return 1e-6; },
                          [](double got, double expected) { return all_close(got, expected, 1e-5, 1e-3); }))
            return false;
    }
    return true;
}

/// The gradient of the sum of the output, by PyTorch's tolerances.
bool sum_accepts(const CheckedFunction& function, const Tensors& inputs, std::uint64_t) {
    Tensor ones = Tensor::full(value_at(function, inputs).shape(), 1, Dtype::float64);
    return each_element(function, inputs, ones, [](double) { return 1e-6; },
                        [](double got, double expected) { return all_close(got, expected, 1e-5, 1e-3); });
}

/// jax/_src/public_test_util.py: one random direction and one random cotangent, a step of 1e-4, tolerances of 1e-5
/// times the number of elements; order 2 checks jvp and vjp as functions in turn.
class JaxCheck {
  public:
    explicit JaxCheck(std::uint64_t seed) : random_(seed) {}

    bool accepts(const Functions& function, const Tensors& inputs, int order) {
        if (!accepts_jvp(function, inputs) || !accepts_vjp(function, inputs)) return false;
        if (order == 1) return true;
        std::size_t count = inputs.size();
        Functions forward = [&](const Vars& vars) {
            Vars x(vars.begin(), vars.begin() + static_cast<std::ptrdiff_t>(count));
            Vars tangents(vars.begin() + static_cast<std::ptrdiff_t>(count), vars.end());
            Vars outputs = function(x), result = outputs;
            for (Var output : outputs) result.push_back(jvp(output, x, tangents));
            return result;
        };
        Tensors twice = inputs;
        twice.insert(twice.end(), inputs.begin(), inputs.end());
        Functions reverse = [&](const Vars& x) { return pulled_back(function(x), x); };
        return accepts(forward, twice, order - 1) && accepts(reverse, inputs, order - 1);
    }

  private:
    /// The cotangents of x where those of the outputs are their values.
    static Vars pulled_back(const Vars& outputs, const Vars& x) { return pulled_back(outputs, outputs, x); }
    static Vars pulled_back(const Vars& outputs, const Vars& seeds, const Vars& x) {
        Vars sums(x.size());
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            Vars slopes = gradients(outputs[i], x, seeds[i]);
            for (std::size_t k = 0; k < x.size(); ++k) sums[k] = sums[k] ? sums[k] + slopes[k] : slopes[k];
        }
        return sums;
    }

    static Tensors values(const Vars& vars) {
        Tensors result;
        for (Var var : vars) result.push_back(var.value());
        return result;
    }
    static Tensors values_at(const Functions& function, const Tensors& inputs) {
        Tape tape;
        return values(function(variables(tape, inputs)));
    }
    static Tensors differences(const Functions& function, const Tensors& inputs, const Tensors& tangents) {
        Tensors above = values_at(function, moved(inputs, tangents, 1e-4));
        Tensors below = values_at(function, moved(inputs, tangents, -1e-4));
        for (std::size_t i = 0; i < above.size(); ++i)
            above[i] = Tensor::make<double>(above[i].shape(), [&](std::span<double> elements) {
                for (std::size_t k = 0; k < elements.size(); ++k)
                    elements[k] = (above[i].elements<double>()[k] - below[i].elements<double>()[k]) * (0.5 / 1e-4);
            });
        return above;
    }

    bool accepts_jvp(const Functions& function, const Tensors& inputs) {
        Tensors tangents = normal_like(inputs, random_), expected = differences(function, inputs, tangents);
        Tape tape;
        Vars x = variables(tape, inputs), along = variables(tape, tangents);
        Vars outputs = function(x);
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            Tensor got = jvp(outputs[i], x, along).value();
            double tolerance = 1e-5 * static_cast<double>(got.size());
            for (std::int64_t k = 0; k < got.size(); ++k)
                if (!all_close(got.at(k), expected[i].at(k), tolerance, tolerance)) return false;
        }
        return true;
    }

    bool accepts_vjp(const Functions& function, const Tensors& inputs) {
        Tensors tangents = normal_like(inputs, random_), moving = differences(function, inputs, tangents);
        Tensors cotangents = normal_like(moving, random_);
        Tape tape;
        Vars x = variables(tape, inputs);
        Tensors got = values(pulled_back(function(x), variables(tape, cotangents), x));
        double got_product = 0, expected_product = 0;
        for (std::size_t i = 0; i < got.size(); ++i) got_product += dot(tangents[i], got[i]);
        for (std::size_t i = 0; i < moving.size(); ++i) expected_product += dot(moving[i], cotangents[i]);
        return all_close(got_product, expected_product, 1e-5, 1e-5);
    }

    std::mt19937_64 random_;
};

bool jax_accepts(const CheckedFunction& function, const Tensors& inputs, std::uint64_t seed) {
    return JaxCheck(seed).accepts([&](const Vars& x) { return Vars{function(x)}; }, inputs, 2);
}

} // namespace

const std::vector<PeerChecker>& peer_checkers() {
    static const std::vector<PeerChecker> checkers{{"PyTorch gradcheck", pytorch_accepts},
                                                   {"JAX check_grads, order 2", jax_accepts},
                                                   {"dlib test_layer", dlib_accepts},
                                                   {"DyNet check_grad", dynet_accepts},
                                                   {"all-ones cotangent", sum_accepts}};
    return checkers;
}

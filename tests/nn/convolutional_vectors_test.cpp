// PyTorch's convolutional layers, poolings and normalisers of feature maps: outputs and gradients.

#include <memory>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/convolution.hpp>
#include <cotape/nn/group_norm.hpp>
#include <cotape/nn/pooling.hpp>

#include "numbers.hpp"
#include "vectors.hpp"

using namespace cotape;
using namespace cotape::testing;
using nlohmann::json;

namespace {

using Layer = std::unique_ptr<nn::Module>;

/// PyTorch's options of a layer.
class Options {
  public:
    explicit Options(const json& options) : options_(options) {}

    std::int64_t integer(const char* name, std::int64_t usual = 0) const { return options_.value(name, usual); }
    bool flag(const char* name, bool usual) const { return options_.value(name, usual); }
    double number(const char* name, double usual) const { return options_.value(name, usual); }
    std::optional<double> momentum() const {
        if (options_.contains("momentum") && options_["momentum"].is_null()) return std::nullopt;
        return number("momentum", 0.1);
    }
    PerAxis per_axis(const char* name, PerAxis usual = {}) const {
        if (!options_.contains(name)) return usual;
        if (options_[name].is_number()) return options_[name].get<std::int64_t>();
        Shape values;
        for (std::int64_t value : options_[name]) values.push_back(value);
        return values;
    }
    std::optional<std::int64_t> divisor() const {
        return options_.contains("divisor_override") ? std::optional(integer("divisor_override")) : std::nullopt;
    }

  private:
    const json& options_;
};

template <class Conv>
Layer conv(const Options& of, std::mt19937& random) {
    return std::make_unique<Conv>(of.integer("in_channels"), of.integer("out_channels"), of.per_axis("kernel_size"),
                                  nn::ConvOptions{of.per_axis("stride", 1), of.per_axis("padding", 0),
                                                  of.per_axis("dilation", 1), of.integer("groups", 1),
                                                  of.flag("bias", true)}, random);
}

template <class Conv>
Layer transposed(const Options& of, std::mt19937& random) {
    nn::ConvTransposeOptions options{of.per_axis("stride", 1), of.per_axis("padding", 0),
                                     of.per_axis("output_padding", 0), of.per_axis("dilation", 1),
                                     of.integer("groups", 1), of.flag("bias", true)};
    return std::make_unique<Conv>(of.integer("in_channels"), of.integer("out_channels"), of.per_axis("kernel_size"),
                                  options, random);
}

template <class Pool>
Layer max_pool(const Options& of, std::mt19937&) {
    return std::make_unique<Pool>(of.per_axis("kernel_size"),
                                  MaxPoolOptions{of.per_axis("stride"), of.per_axis("padding", 0),
                                                 of.per_axis("dilation", 1), of.flag("ceil_mode", false)});
}

template <class Pool>
Layer avg_pool(const Options& of, std::mt19937&) {
    return std::make_unique<Pool>(of.per_axis("kernel_size"),
                                  AvgPoolOptions{of.per_axis("stride"), of.per_axis("padding", 0),
                                                 of.flag("ceil_mode", false), of.flag("count_include_pad", true),
                                                 of.divisor()});
}

template <class Pool>
Layer adaptive_pool(const Options& of, std::mt19937&) {
    return std::make_unique<Pool>(of.per_axis("output_size"));
}

Layer group_norm(const Options& of, std::mt19937&) {
    return std::make_unique<nn::GroupNorm>(of.integer("num_groups"), of.integer("num_channels"));
}

template <class Norm>
Layer instance_norm(const Options& of, std::mt19937&) {
    return std::make_unique<Norm>(of.integer("num_features"), nn::GroupNormOptions{.affine = of.flag("affine", false)});
}

template <class Norm>
Layer batch_norm(const Options& of, std::mt19937&) {
    return std::make_unique<Norm>(of.integer("num_features"),
                                  nn::BatchNormOptions{of.number("eps", 1e-5), of.momentum(), of.flag("affine", true)});
}

Layer make_layer(const std::string& name, const json& options) {
    static const std::map<std::string, Layer (*)(const Options&, std::mt19937&)> makers{
        {"Conv1d", conv<nn::Conv1d>},
        {"Conv2d", conv<nn::Conv2d>},
        {"Conv3d", conv<nn::Conv3d>},
        {"ConvTranspose1d", transposed<nn::ConvTranspose1d>},
        {"ConvTranspose2d", transposed<nn::ConvTranspose2d>},
        {"ConvTranspose3d", transposed<nn::ConvTranspose3d>},
        {"MaxPool1d", max_pool<nn::MaxPool1d>},
        {"MaxPool2d", max_pool<nn::MaxPool2d>},
        {"MaxPool3d", max_pool<nn::MaxPool3d>},
        {"AvgPool1d", avg_pool<nn::AvgPool1d>},
        {"AvgPool2d", avg_pool<nn::AvgPool2d>},
        {"AvgPool3d", avg_pool<nn::AvgPool3d>},
        {"AdaptiveAvgPool1d", adaptive_pool<nn::AdaptiveAvgPool1d>},
        {"AdaptiveAvgPool2d", adaptive_pool<nn::AdaptiveAvgPool2d>},
        {"AdaptiveAvgPool3d", adaptive_pool<nn::AdaptiveAvgPool3d>},
        {"GroupNorm", group_norm},
        {"InstanceNorm1d", instance_norm<nn::InstanceNorm1d>},
        {"InstanceNorm2d", instance_norm<nn::InstanceNorm2d>},
        {"InstanceNorm3d", instance_norm<nn::InstanceNorm3d>},
        {"BatchNorm1d", batch_norm<nn::BatchNorm1d>},
        {"BatchNorm2d", batch_norm<nn::BatchNorm2d>},
        {"BatchNorm3d", batch_norm<nn::BatchNorm3d>}};
    std::mt19937 random(1);
    return makers.at(name)(Options(options), random);
}

} // namespace

TEST_SUITE("nn") {
    TEST_CASE("convolutional layers, poolings and normalisers agree with PyTorch, outputs and gradients") {
        json cases = vectors("convolutional");
        CHECK(cases.size() == 32);
        for (const json& one : cases)
            for (Dtype dtype : {Dtype::float64, Dtype::float32}) {
                CAPTURE(one["layer"].get<std::string>());
                CAPTURE(one["options"].dump());
                CAPTURE(to_string(dtype));
                Layer layer = make_layer(one["layer"], one["options"]);
                Tape tape;
                std::vector<Var> leaves{tape.variable(tensor_of(one["x"]).as(dtype))};
                auto parameters = layer->parameters();
                REQUIRE(parameters.size() == one["parameters"].size());
                for (std::size_t i = 0; i < parameters.size(); ++i) {
                    leaves.push_back(tape.variable(tensor_of(one["parameters"][i]).as(dtype)));
                    tape.bind(parameters[i].state, leaves.back());
                }
                for (const nn::Named<State>& statistic : layer->statistics())
                    tape.bind(statistic.state, tape.constant(statistic.state.value().as(dtype)));
                Var y = (*layer)(leaves[0]);
                // The file has 12 digits; float32 rounds sums of some dozen numbers up to 5.
                double tolerance = dtype == Dtype::float64 ? 1e-10 : 2e-5;
                Tensor expected = tensor_of(one["y"]);
                CHECK(to_string(y.shape()) == to_string(expected.shape()));
                CHECK(distance(y.value(), elements_of(expected)) < tolerance);
                std::vector<Var> slopes = gradients(y, leaves, tape.constant(tensor_of(one["probe"]).as(dtype)));
                for (std::size_t i = 0; i < slopes.size(); ++i)
                    CHECK(distance(slopes[i].value(), elements_of(tensor_of(one["gradients"][i]))) < tolerance);
            }
    }

    TEST_CASE("batch norms keep PyTorch's running statistics, and evaluate with them as PyTorch does") {
        int checked = 0;
        for (const json& one : vectors("convolutional")) {
            if (!one.contains("running")) continue;
            CAPTURE(one["layer"].get<std::string>());
            CAPTURE(one["options"].dump());
            Layer layer = make_layer(one["layer"], one["options"]);
            auto parameters = layer->parameters();
            for (std::size_t i = 0; i < parameters.size(); ++i)
                parameters[i].state.assign(tensor_of(one["parameters"][i]).as(Dtype::float32));
            Tensor x = tensor_of(one["x"]).as(Dtype::float32);
            Tape training;
            (*layer)(training.constant(x));
            commit(training);
            auto& normalizer = dynamic_cast<nn::Normalizer&>(*layer);
            CHECK(distance(normalizer.running_mean(), elements_of(tensor_of(one["running"][0]))) < 1e-6);
            CHECK(distance(normalizer.running_variance(), elements_of(tensor_of(one["running"][1]))) < 1e-6);
            layer->evaluate();
            Tape tape;
            CHECK(distance((*layer)(tape.constant(x)).value(), elements_of(tensor_of(one["evaluated"]))) < 1e-5);
            ++checked;
        }
        CHECK(checked == 5);
    }
}

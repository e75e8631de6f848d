#include "works.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/activations.hpp>
#include <cotape/nn/adam.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/convolution.hpp>
#include <cotape/nn/flatten.hpp>
#include <cotape/nn/fold_batch_norm.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/pooling.hpp>
#include <cotape/nn/sequential.hpp>
#include <cotape/nn/sgd.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/losses.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/shaping.hpp>

#include "layer_works.hpp"

namespace works {
namespace {

using namespace cotape;

/// Batches that steps take turns between.
constexpr std::size_t batch_count = 8;

struct Batch {
    Tensor images, labels;
};

std::vector<Batch> make_batches(std::int64_t size, std::mt19937& random) {
    std::vector<Batch> batches;
    for (std::size_t i = 0; i < batch_count; ++i) {
        std::vector<std::int64_t> labels;
        for (std::int64_t row = 0; row < size; ++row) labels.push_back(random() % 10);
        batches.push_back({nn::uniform({size, 784}, 0, 1, random), Tensor::of({size}, labels)});
    }
    return batches;
}

template <class Activation>
nn::Sequential make_net(const std::vector<std::int64_t>& hidden, bool batch_norm, std::mt19937& random) {
    nn::Sequential net;
    std::int64_t inputs = 784;
    for (std::int64_t width : hidden) {
        net.add(nn::Linear(inputs, width, {.bias = !batch_norm}, random));
        if (batch_norm) net.add(nn::BatchNorm1d(width));
        net.add(Activation());
        inputs = width;
    }
    net.add(nn::Linear(inputs, 10, random));
    return net;
}

/// Two convolutions with batch norm, relu and pooling, and a linear layer: the net of mnist_conv.
nn::Sequential make_conv_net(std::mt19937& random) {
    nn::Sequential net(nn::Unflatten(1, {1, 28, 28}));
    std::int64_t maps = 1;
    for (std::int64_t next : {32, 64}) {
        net.add(nn::Conv2d(maps, next, 3, {.padding = 1, .bias = false}, random));
        net.add(nn::BatchNorm2d(next));
        net.add(nn::Relu());
        net.add(nn::MaxPool2d(2));
        maps = next;
    }
    net.add(nn::Flatten());
    net.add(nn::Linear(64 * 7 * 7, 10, random));
    return net;
}

/// A training step of the net that `make` makes, on 784 inputs and 10 classes.
template <class Optimizer, class Make, class Options>
std::function<void()> train_net(Make make, std::int64_t batch_size, const Options& options) {
    struct Training {
        std::mt19937 random{1};
        nn::Sequential net;
        Optimizer optimizer;
        std::vector<Batch> batches;
        std::size_t next = 0;

        Training(const Make& make_net, std::int64_t size, const Options& settings)
            : net(make_net(random)), optimizer(net, settings), batches(make_batches(size, random)) {}
    };
    auto training = std::make_shared<Training>(make, batch_size, options);
    return [training] {
        const Batch& batch = training->batches[training->next++ % batch_count];
        Tape tape;
        Var loss = cross_entropy(training->net(tape.constant(batch.images)), batch.labels);
        training->optimizer.step(loss);
    };
}

/// A training step of a multi-layer perceptron.
template <class Activation, class Optimizer, class Options>
std::function<void()> train(const std::vector<std::int64_t>& hidden, bool batch_norm, std::int64_t batch_size,
                            const Options& options) {
    return train_net<Optimizer>(
        [=](std::mt19937& random) { return make_net<Activation>(hidden, batch_norm, random); }, batch_size, options);
}

/// A matrix product: how large the matrices are, and which of them enter transposed. A weight is the same for all
/// batches and all products with a weight of its shape.
struct Product {
    Shape a, b;
    MatmulOptions options;
    bool by_weight;
};

/// The matrix products of a step, alone.
std::function<void()> multiply(const std::vector<Product>& products) {
    struct Multiplying {
        std::vector<MatmulOptions> options;
        std::vector<Tensor> factors;
        std::size_t next = 0;
    };
    auto multiplying = std::make_shared<Multiplying>();
    std::mt19937 random(1);
    for (const Product& product : products) multiplying->options.push_back(product.options);
    std::map<std::string, Tensor> weights;
    for (std::size_t batch = 0; batch < batch_count; ++batch)
        for (const Product& product : products) {
            Tensor b = nn::uniform(product.b, -1, 1, random);
            multiplying->factors.push_back(nn::uniform(product.a, -1, 1, random));
            multiplying->factors.push_back(product.by_weight ? weights.try_emplace(to_string(product.b), b).first->second
                                                             : b);
        }
    return [multiplying] {
        const std::vector<MatmulOptions>& options = multiplying->options;
        const Tensor* factor = &multiplying->factors[multiplying->next++ % batch_count * 2 * options.size()];
        Tape tape;
        std::vector<Var> results;
        for (const MatmulOptions& option : options) {
            Var a = tape.constant(*factor++), b = tape.constant(*factor++);
            results.push_back(matmul(a, b, option));
        }
        evaluate(results, Keep::requested);
    };
}

/// Those of a training step of 784-512-256-10.
std::vector<Product> products_of_net() {
    std::vector<Product> products;
    std::vector<std::int64_t> widths{784, 512, 256, 10};
    for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
        Shape x{128, widths[i]}, y{128, widths[i + 1]}, weight{widths[i + 1], widths[i]};
        products.push_back({x, weight, {.transpose_b = true}, true});
        products.push_back({y, x, {.transpose_a = true}, false});
        if (i > 0) products.push_back({y, weight, {}, true});
    }
    return products;
}

/// Those of the LSTM and its gradients: the steps' one by one, and those of all steps together.
std::vector<Product> products_of_lstm() {
    constexpr std::int64_t steps = 28, examples = 64, inputs = 28, hidden = 128, gates = 4 * hidden;
    Shape x{steps * examples, inputs}, h{steps * examples, hidden}, y{steps * examples, gates};
    std::vector<Product> products{{x, {gates, inputs}, {.transpose_b = true}, true},
                                  {y, {gates, inputs}, {}, true},
                                  {y, x, {.transpose_a = true}, false},
                                  {y, h, {.transpose_a = true}, false}};
    for (std::int64_t step = 0; step < steps; ++step) {
        products.push_back({{examples, hidden}, {gates, hidden}, {.transpose_b = true}, true});
        products.push_back({{examples, gates}, {gates, hidden}, {}, true});
    }
    return products;
}

/// Those of 784-512-256-10 without gradients.
std::vector<Product> products_of_inference(std::int64_t batch_size) {
    return {{{batch_size, 784}, {512, 784}, {.transpose_b = true}, true},
            {{batch_size, 512}, {256, 512}, {.transpose_b = true}, true},
            {{batch_size, 256}, {10, 256}, {.transpose_b = true}, true}};
}

/// The logits of a net in evaluation, its batch norms folded into its linear layers.
std::function<void()> infer(std::int64_t batch_size) {
    struct Inferring {
        std::mt19937 random{1};
        nn::Sequential net = make_net<nn::Relu>({512, 256}, true, random);
        std::vector<Batch> batches;
        std::size_t next = 0;
    };
    auto inferring = std::make_shared<Inferring>();
    inferring->batches = make_batches(batch_size, inferring->random);
    { // running statistics of their own, of one batch
        Tape tape;
        inferring->net(tape.constant(make_batches(128, inferring->random).front().images));
        commit(tape);
    }
    inferring->net.evaluate();
    nn::fold_batch_norm(inferring->net, inferring->batches.front().images);
    return [inferring] {
        Tape tape;
        Var logits = inferring->net(tape.constant(inferring->batches[inferring->next++ % batch_count].images));
        evaluate({&logits, 1}, Keep::requested);
    };
}

/// A chain of 1,000 operations on scalars, and its derivative.
std::function<void()> follow_chain() {
    return [] {
        Tape tape;
        Var x = tape.variable(Tensor(0.5f));
        Var y = x;
        for (int i = 0; i < 500; ++i) y = tanh(y) * x;
        std::vector<Var> results{y, gradient(y, x)};
        evaluate(results, Keep::requested);
    };
}

const Work list[] = {
    {"mlp_256", "training step, 784-256-256-10 with batch norm, batch 128, SGD", 1,
     [] {
         return train<nn::Relu, nn::Sgd>({256, 256}, true, 128, nn::SgdOptions{.learning_rate = 0.01});
     }},
    {"mlp_256_plain", "training step, 784-256-256-10 without batch norm, batch 128, SGD", 1,
     [] {
         return train<nn::Relu, nn::Sgd>({256, 256}, false, 128, nn::SgdOptions{.learning_rate = 0.01});
     }},
    {"mlp_256_adam", "training step, 784-256-256-10 with batch norm, batch 128, Adam", 1,
     [] {
         return train<nn::Relu, nn::Adam>({256, 256}, true, 128, nn::AdamOptions{.learning_rate = 0.001});
     }},
    {"mlp_512_momentum", "training step, 784-512-256-10 with batch norm, batch 128, SGD momentum", 1,
     [] {
         return train<nn::Relu, nn::Sgd>({512, 256}, true, 128,
                                         nn::SgdOptions{.learning_rate = 0.01, .momentum = 0.9});
     }},
    {"mlp_512_adam", "training step, 784-512-256-10 with batch norm, batch 128, Adam", 1,
     [] {
         return train<nn::Relu, nn::Adam>({512, 256}, true, 128, nn::AdamOptions{.learning_rate = 0.001});
     }},
    {"paper_net", "training step, 784-100-100-100-10 sigmoid with batch norm, batch 60, SGD", 1,
     [] {
         return train<nn::Sigmoid, nn::Sgd>({100, 100, 100}, true, 60, nn::SgdOptions{.learning_rate = 0.1});
     }},
    {"mnist_conv", "training step of the net of mnist_conv with batch norm, batch 64, SGD momentum", 1,
     [] {
         return train_net<nn::Sgd>(make_conv_net, 64, nn::SgdOptions{.learning_rate = 0.01, .momentum = 0.9});
     }},
    {"mlp_512_products", "the matrix products of a training step of 784-512-256-10, batch 128, alone", 1,
     [] { return multiply(products_of_net()); }},
    {"batchnorm1d", "BatchNorm1d, 256x1024, forward and backward", 1, normalize_features},
    {"batchnorm1d_copies", "the tensors that BatchNorm1d must read and write, copied", 1, copy_features},
    {"batchnorm2d_relu", "BatchNorm2d and relu, 64x64x56x56, forward and backward", 1, normalize_images},
    {"batchnorm2d_relu_by_hand", "the same in hand-written loops", 1, normalize_images_by_hand},
    {"lstm", "LSTM, 28 steps, batch 64, 128 units, forward and backward", 1, unroll_lstm},
    {"lstm_products", "the matrix products of the LSTM, alone", 1, [] { return multiply(products_of_lstm()); }},
    {"bn_lstm", "the same with batch normalisation per time step", 1, unroll_batch_norm_lstm},
    {"inference_1", "784-512-256-10 with batch norm folded in, batch 1, no gradients", 1, [] { return infer(1); }},
    {"inference_128", "784-512-256-10 with batch norm folded in, batch 128, no gradients", 1,
     [] { return infer(128); }},
    {"inference_1_products", "the matrix products of inference_1, alone", 1,
     [] { return multiply(products_of_inference(1)); }},
    {"inference_128_products", "the matrix products of inference_128, alone", 1,
     [] { return multiply(products_of_inference(128)); }},
    {"scalar_op", "one of 1,000 scalar operations in a chain, forward and backward", 1000, follow_chain},
};

} // namespace

std::span<const Work> all() { return list; }

Work find(const std::string& name) {
    std::size_t colon = name.find(':');
    if (colon != std::string::npos) {
        std::int64_t number = std::stoll(name.substr(colon + 1));
        if (name.starts_with("batch:"))
            return {name, name, 1, [=] {
                        return train<nn::Relu, nn::Sgd>({512, 256}, true, number,
                                                        nn::SgdOptions{.learning_rate = 0.01, .momentum = 0.9});
                    }};
        if (name.starts_with("depth:"))
            return {name, name, 1, [=] {
                        return train<nn::Relu, nn::Sgd>(std::vector<std::int64_t>(static_cast<std::size_t>(number), 32),
                                                        false, 32, nn::SgdOptions{.learning_rate = 0.01});
                    }};
    }
    for (const Work& work : list)
        if (work.name == name) return work;
    throw ValueError(fmt::format("there is no work named {}", name));
}

} // namespace works

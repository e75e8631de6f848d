// The README's program: a batch-normalised net learns digits. Expect about 95 % after three epochs.
#include <cstdio>
#include <random>

#include <cotape/cotape.hpp>

using namespace cotape;

int main() {
    std::mt19937 random(1);
    auto [train, test] = data::digits(20000, 2000, 1); // or data::mnist(folder)
    nn::Sequential net(nn::Linear(784, 256, {.bias = false}, random), nn::BatchNorm1d(256), nn::Relu(),
                       nn::Linear(256, 10, random));
    nn::Sgd optimizer(net, {.learning_rate = 0.1});

    for (int epoch = 1; epoch <= 3; ++epoch) {
        for (const auto& [images, labels] : data::batches(train, 128, random)) {
            Tape tape;
            Var loss = cross_entropy(net(tape.constant(images)), labels);
            optimizer.step(loss); // gradients, new parameters, new statistics: computed, then committed together
        }
        nn::Evaluating evaluating(net);
        Tape tape;
        Var logits = net(tape.constant(test.inputs));
        std::printf("epoch %d: %.1f %% right\n", epoch, 100 * nn::accuracy(logits.value(), test.labels));
    }
}

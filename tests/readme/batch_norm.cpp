// The program of docs/batch_normalisation.md. Expect: statistics that change once for each commit, and not otherwise.

#include <cstdio>

#include <cotape/cotape.hpp>

using namespace cotape;

namespace {

void print(const char* what, const nn::BatchNorm1d& layer) {
    std::printf("%-34s mean %.4f, variance %.6f, batches %lld\n", what, layer.running_mean().at(0),
                layer.running_variance().at(0), static_cast<long long>(layer.batches_seen()));
}

/// 16 values in one channel: x[b, 0, i] = b + i + 1, of mean 4 and population variance 2.5.
Tensor example() {
    return Tensor::make<float>({4, 1, 4}, [](std::span<float> x) {
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i / 4 + i % 4 + 1);
    });
}

} // namespace

int main() {
    nn::BatchNorm1d layer(1);
    print("new", layer);

    Tape tape;
    Var x = tape.constant(example());
    Var y = layer(x);
    std::printf("y = %.4f %.4f %.4f %.4f ...\n", y.value().at(0), y.value().at(1), y.value().at(2), y.value().at(3));
    layer(x);
    print("two forward passes, no commit", layer);
    commit(tape);
    print("one commit", layer);

    layer.use(nn::Statistics::population); // normalise with the running statistics: frozen
    Tape frozen;
    layer(frozen.constant(example()));
    commit(frozen);
    print("frozen", layer);

    layer.use(nn::Statistics::batch);
    layer.update(nn::Update::never); // normalise with the batch's, and leave the running ones alone
    Tape apart;
    layer(apart.constant(example()));
    commit(apart);
    print("batch statistics, not tracked", layer);

    layer.use(nn::Statistics::by_mode);
    layer.update(nn::Update::by_mode);
    nn::Evaluating evaluating(layer);
    Tape test;
    Var z = layer(test.constant(example()));
    std::printf("in evaluation, z = %.4f %.4f %.4f %.4f ...\n", z.value().at(0), z.value().at(1), z.value().at(2),
                z.value().at(3));
}

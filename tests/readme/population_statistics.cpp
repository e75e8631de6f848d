// The program of docs/batch_normalisation.md on the population's statistics. Expect: running statistics that still hold
// much of their initial values, an audit that says so, exact ones that mend it, and a folded net that computes the
// same.

#include <cstdio>
#include <random>

#include <cotape/cotape.hpp>

using namespace cotape;

namespace {

double percent_right(nn::Module& net, const data::Dataset& test) {
    nn::Evaluating evaluating(net);
    Tape tape;
    return 100 * nn::accuracy(net(tape.constant(test.inputs)).value(), test.labels);
}

} // namespace

int main() {
    std::mt19937 random(1);
    auto [train, test] = data::digits(2000, 1000, 1);
    nn::Sequential net(nn::Linear(784, 32, {.bias = false}, random), nn::BatchNorm1d(32), nn::Relu(),
                       nn::Linear(32, 10, random));
    nn::Sgd optimizer(net, {.learning_rate = 0.5});
    for (const auto& [images, labels] : data::batches(train, 100, random)) { // 20 steps
        Tape tape;
        optimizer.step(cross_entropy(net(tape.constant(images)), labels));
    }
    net.evaluate();
    std::printf("running statistics: %.1f %% right\n\n", percent_right(net, test));

    data::Batches batches = data::batches(train, 100);
    std::printf("%s\n", to_string(nn::audit(net, batches)).c_str());

    nn::PopulationStatistics exact = nn::population_statistics(net, batches);
    exact.apply(net); // until here, nothing in the net has changed
    std::printf("exact statistics: %.1f %% right\n\n", percent_right(net, test));
    std::printf("%s\n", to_string(nn::audit(net, batches)).c_str());

    nn::FoldReport report = nn::fold_batch_norm(net, data::take(test, 100).inputs);
    std::printf("folded: %s is now %s\n", report.folded[0].c_str(), net[1].describe().c_str());
    std::printf("outputs moved by less than 1e-5: %s\n", report.largest_deviation < 1e-5 ? "yes" : "no");
}

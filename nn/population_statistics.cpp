#include <cotape/nn/population_statistics.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/tape.hpp>

namespace cotape::nn {
namespace {

/// Normalisers that go by the mode normalise with the batch's statistics while it lives.
class NormalizingByBatch {
  public:
    explicit NormalizingByBatch(const std::vector<NamedNormalizer>& normalizers) {
        for (const NamedNormalizer& named : normalizers)
            if (named.normalizer->uses() == Statistics::by_mode) switched_.push_back(named.normalizer);
        for (Normalizer* normalizer : switched_) normalizer->use(Statistics::batch);
    }
    ~NormalizingByBatch() {
        for (Normalizer* normalizer : switched_) normalizer->use(Statistics::by_mode);
    }
    NormalizingByBatch(const NormalizingByBatch&) = delete;
    NormalizingByBatch& operator=(const NormalizingByBatch&) = delete;

  private:
    std::vector<Normalizer*> switched_;
};

/// Lets every parameter and statistic of `model` stand on `tape` in `dtype`.
void bind_all(Tape& tape, Module& model, Dtype dtype) {
    auto bind = [&](const State& state) {
        if (is_floating(state.type().dtype) && state.type().dtype != dtype)
            tape.bind(state, tape.constant(state.value().as(dtype)));
    };
    for (const Named<Parameter>& named : model.parameters()) bind(named.state);
    for (const Named<State>& named : model.statistics()) bind(named.state);
}

std::string at(const std::string& path) { return path.empty() ? "the model" : path; }

/// `statistic` with what no step reached filled in, as a running statistic.
Tensor filled(const Tensor& statistic, const Tensor& count) {
    std::int64_t features = statistic.size() / count.size();
    return Tensor::make<float>(statistic.shape(), [&](std::span<float> elements) {
        for (std::int64_t i = 0; i < statistic.size(); ++i)
            elements[static_cast<std::size_t>(i)] =
                static_cast<float>(statistic.at(reached_step(count, i / features) * features + i % features));
    });
}

} // namespace

PopulationSweep::PopulationSweep(Module& model, const PopulationOptions& options)
    : model_(model), options_(options), normalizers_(normalizers(model)) {
    if (!is_floating(options.dtype))
        throw ValueError(fmt::format("population_statistics: needs float32 or float64 to compute in, got {}",
                                     to_string(options.dtype)));
    for (const NamedNormalizer& named : normalizers_) {
        gathered_.emplace_back(static_cast<std::size_t>(named.normalizer->running_mean().size()));
    }
}

PopulationSweep::Moments::Moments(std::size_t size)
    : count(size), mean(size), squares(size), within(size), batches(size) {}

void PopulationSweep::Moments::merge(double batch_count, double batch_mean, double batch_variance,
                                     std::size_t element) {
    if (batch_count == 0) return;
    double together = count[element] + batch_count, distance = batch_mean - mean[element];
    mean[element] += distance * (batch_count / together);
    squares[element] += batch_variance * batch_count + distance * distance * count[element] * (batch_count / together);
    count[element] = together;
    within[element] += batch_variance * batch_count;
    ++batches[element];
}

double PopulationSweep::Moments::values_in_batch() const {
    double values = 0, parts = 0;
    for (std::size_t element = 0; element < count.size(); ++element) {
        values += count[element];
        parts += batches[element];
    }
    return parts == 0 ? 0 : values / parts;
}

std::optional<double> PopulationSweep::Moments::batch_spread() const {
    double spread = 0, elements = 0;
    for (std::size_t element = 0; element < count.size(); ++element) {
        if (batches[element] < 2 || squares[element] == 0) continue;
        double between = std::max(squares[element] - within[element], 0.0);
        spread += between / squares[element] * batches[element] / (batches[element] - 1);
        ++elements;
    }
    if (elements == 0) return std::nullopt;
    return std::sqrt(spread / elements);
}

void PopulationSweep::add(const Tensor& x, const std::function<Var(Var)>& forward) {
    Evaluating evaluating(model_);
    NormalizingByBatch by_batch(normalizers_);
    Measuring measuring(model_);
    Tape tape;
    bind_all(tape, model_, options_.dtype);
    Var input = tape.constant(is_floating(x.dtype()) ? x.as(options_.dtype) : x);
    if (forward)
        forward(input);
    else
        model_(input);

    std::vector<Var> wanted;
    for (const Measuring::Measured& measured : measuring.measured())
        for (const BatchStatistics& batch : measured.batches) wanted.insert(wanted.end(), {batch.mean, batch.variance});
    if (!wanted.empty()) evaluate(wanted, Keep::requested);

    std::vector<Moments> merged = gathered_;
    for (std::size_t i = 0; i < merged.size(); ++i)
        for (const BatchStatistics& batch : measuring.measured()[i].batches) {
            Tensor mean = batch.mean.value(), variance = batch.variance.value();
            std::int64_t features = mean.size() / batch.count.size();
            for (std::int64_t element = 0; element < mean.size(); ++element) {
                double count = batch.count.at(element / features);
                if (count > 0 && !(std::isfinite(mean.at(element)) && std::isfinite(variance.at(element))))
                    throw ValueError(
                        fmt::format("population_statistics: what reaches {} in batch {} must be finite, got "
                                    "mean {} and variance {} in channel {}",
                                    at(normalizers_[i].path), batches_ + 1, mean.at(element), variance.at(element),
                                    element % features));
                merged[i].merge(count, mean.at(element), variance.at(element), static_cast<std::size_t>(element));
            }
        }
    gathered_ = std::move(merged);
    ++batches_;
}

PopulationStatistics PopulationSweep::statistics() const {
    if (batches_ == 0) throw ValueError("population_statistics: needs at least one batch, got none");
    PopulationStatistics result;
    for (std::size_t i = 0; i < gathered_.size(); ++i) {
        const Shape& shape = normalizers_[i].normalizer->running_mean().shape();
        const Moments& moments = gathered_[i];
        std::vector<double> variance = moments.squares;
        for (std::size_t element = 0; element < variance.size(); ++element)
            variance[element] /= std::max(moments.count[element], 1.0);
        auto features = static_cast<std::size_t>(shape.back());
        std::vector<double> counts, batches;
        for (std::size_t element = 0; element < moments.count.size(); element += features) {
            counts.push_back(moments.count[element]);
            batches.push_back(moments.batches[element]);
        }
        Shape count_shape = shape.size() > 1 ? Shape{static_cast<std::int64_t>(counts.size()), 1} : Shape{};
        result.layers.push_back({normalizers_[i].path, Tensor::of<double>(shape, moments.mean),
                                 Tensor::of<double>(shape, variance), Tensor::of<double>(count_shape, counts),
                                 moments.values_in_batch(), moments.batch_spread(),
                                 Tensor::of<double>(count_shape, batches)});
    }
    return result;
}

void PopulationStatistics::apply(Module& model) const {
    std::vector<NamedNormalizer> present = normalizers(model);
    std::vector<Normalizer*> targets;
    for (const Layer& layer : layers) {
        auto named = std::ranges::find(present, layer.path, &NamedNormalizer::path);
        if (named == present.end())
            throw ValueError(fmt::format("apply: the model has no normaliser {}", at(layer.path)));
        const Shape& shape = named->normalizer->running_mean().shape();
        if (!(shape == layer.mean.shape()))
            throw ShapeError(fmt::format("apply: {} holds statistics {}, got {}", at(layer.path), to_string(shape),
                                         to_string(layer.mean.shape())));
        targets.push_back(named->normalizer);
    }
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Layer& layer = layers[i];
        if (reached_step(layer.count, 0) >= 0)
            targets[i]->set_running_statistics(filled(layer.mean, layer.count), filled(layer.variance, layer.count),
                                               layer.batches.empty() ? Tensor() : filled(layer.batches, layer.count));
    }
}

} // namespace cotape::nn

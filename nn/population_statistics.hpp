#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <cotape/nn/normalizer.hpp>

namespace cotape::nn {

/// How the statistics of a population are computed.
struct PopulationOptions {
    /// The element type in which the activations are computed. In float64 the mean of a batch is not rounded before it
    /// is merged, and the statistics are exact even where the mean is far larger than the spread; float32 is faster,
    /// and takes modules that only compute in it.
    Dtype dtype = Dtype::float64;
};

/// The mean and variance of all that reached the normalisers of a model.
struct PopulationStatistics {
    /// Of one normaliser. `mean` and `variance`, divided by the count, have the shape of its running statistics;
    /// `count`, [] or [steps, 1], is the number of values that each mean is of. All are float64.
    struct Layer {
        std::string path;
        Tensor mean, variance, count;
        /// How many values the mean of one batch is of, on average, and how far such means lie from each other: the
        /// root mean square over all elements, in their standard deviations; empty where no two batches reached one.
        double values_in_batch = 0;
        std::optional<double> batch_spread = {};
        /// How many batches each mean is of, in the form of `count`.
        Tensor batches = {};
    };
    std::vector<Layer> layers;

    /// Makes them the running statistics of the normalisers of `model` that have these paths, so that evaluation
    /// normalises with them, and a plain average goes on from as many batches as they were gathered over. A time step
    /// that nothing reached takes the statistics of the last one before it that something did (or of the first one
    /// after); a normaliser that nothing reached stays as it is. Throws ValueError where a normaliser is missing, and
    /// ShapeError where one holds another shape; all are then as before.
    void apply(Module& model) const;
};

/// Gathers a population's statistics batch by batch. Each batch is one pass, in evaluation mode but for the
/// normalisers: these normalise with the batch's statistics while they are gathered, as in training and as Algorithm 2
/// of Ioffe and Szegedy 2015 has it, so that one sweep over the data serves all layers. A normaliser that is told to
/// use the running statistics does so. Batches may differ in size: they are merged in double, after Chan, Golub and
/// LeVeque 1979, which for the first normaliser gives the mean and variance of the whole population, and for those
/// behind it the ones of what reaches them so. Where a normaliser stands at two places, what passes it at both is one
/// population. Parameters, running statistics, mode and switches of the model stay as they are. The model must outlive
/// this, and must not move meanwhile.
class PopulationSweep {
  public:
    explicit PopulationSweep(Module& model, const PopulationOptions& options = {});

    /// Takes in the batch `x` that the model is called with; `forward` calls it in another way, with masks for example:
    /// it is given x in the sweep's element type. Throws ValueError where what reaches a normaliser is not finite, and
    /// what the model throws, as for a batch of one; nothing is taken in then.
    void add(const Tensor& x, const std::function<Var(Var)>& forward = nullptr);

    /// Of all batches so far. Throws ValueError where there are none.
    PopulationStatistics statistics() const;

  private:
    /// What was gathered of one normaliser, element by element.
    struct Moments {
        std::vector<double> count, mean, squares;
        /// The part of the squares within batches, and the number of these.
        std::vector<double> within, batches;

        explicit Moments(std::size_t size);
        void merge(double batch_count, double batch_mean, double batch_variance, std::size_t element);
        double values_in_batch() const;
        std::optional<double> batch_spread() const;
    };

    Module& model_;
    PopulationOptions options_;
    std::vector<NamedNormalizer> normalizers_;
    std::vector<Moments> gathered_;
    std::int64_t batches_ = 0;
};

/// The tensor that a model is called with, of a batch that is a tensor or has one as `inputs`.
inline const Tensor& inputs_of(const Tensor& batch) { return batch; }
template <class Batch>
const Tensor& inputs_of(const Batch& batch) {
    return batch.inputs;
}

/// The statistics of all normalisers of `model` over `batches`, a range of tensors or of data::Dataset, in one sweep.
/// See PopulationSweep for what is computed and thrown.
template <class Batches>
PopulationStatistics population_statistics(Module& model, const Batches& batches,
                                           const PopulationOptions& options = {}) {
    PopulationSweep sweep(model, options);
    for (const auto& batch : batches) sweep.add(inputs_of(batch));
    return sweep.statistics();
}

} // namespace cotape::nn

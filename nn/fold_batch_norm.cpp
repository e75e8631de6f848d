#include <cotape/nn/fold_batch_norm.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/batch_norm_lstm.hpp>
#include <cotape/nn/identity.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/layer_chains.hpp>
#include <cotape/nn/linear.hpp>

namespace cotape::nn {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& required, const std::string& arrived) {
    throw ValueError(fmt::format("fold_batch_norm: {} must {}, got {}", what, required, arrived));
}

std::string text_of(const std::string& path, const Module& part) {
    return fmt::format("{}, {}", path.empty() ? "the model" : path, part.describe());
}

void require_finite(const std::string& layer, const Tensor& value) {
    if (first_non_finite(value))
        refuse("what " + layer + " becomes", "be finite", "a variance of 0, or a value beyond float32");
}

/// A batch norm with the layer that takes it in.
struct Fold {
    Place norm, layer;

    BatchNorm& batch_norm() const { return dynamic_cast<BatchNorm&>(norm.part()); }
    WeightedSum& target() const { return dynamic_cast<WeightedSum&>(layer.part()); }
};

void require_alone(const LayerChains& model, Module& part, const std::string& path) {
    std::string other = model.shared(part, path);
    if (!other.empty()) refuse(text_of(path, part), "be shared by nothing else", other);
}

/// Pairs every batch norm with the layer before it.
std::vector<Fold> pair_up(const LayerChains& model) {
    std::vector<Fold> folds;
    for (const std::vector<Place>& chain : model.chains()) {
        const Place* before = nullptr;
        for (const Place& place : chain) {
            if (dynamic_cast<Identity*>(&place.part())) continue;
            if (!dynamic_cast<BatchNorm*>(&place.part())) {
                before = &place;
                continue;
            }
            if (!before || !dynamic_cast<WeightedSum*>(&before->part()))
                refuse(place.text(), "follow a Linear or a convolution",
                       before ? fmt::format("{} before it", before->text()) : "nothing before it");
            require_alone(model, before->part(), before->path);
            require_alone(model, place.part(), place.path);
            folds.push_back({place, *before});
        }
    }
    return folds;
}

/// A cell of a recurrent net, with the one that takes its place.
struct RecurrentFold {
    Recurrent* net;
    std::size_t layer;
    std::unique_ptr<FoldedLSTMCell> folded;
};

std::vector<RecurrentFold> fold_cells(const LayerChains& model) {
    std::vector<RecurrentFold> folds;
    for (const auto& [path, net] : model.recurrent())
        for (std::size_t layer = 0; layer < net->cells(); ++layer) {
            auto* cell = dynamic_cast<BatchNormLSTMCell*>(&(*net)[layer]);
            if (!cell) continue;
            require_alone(model, *net, path);
            folds.push_back({net, layer, std::make_unique<FoldedLSTMCell>(cell->folded())});
            for (const Named<Parameter>& named : folds.back().folded->parameters())
                require_finite(text_of(path, *net), named.state.value());
        }
    return folds;
}

bool is_folded(const Normalizer* normalizer, const std::vector<Fold>& folds, const std::vector<RecurrentFold>& cells) {
    auto holds = [&](const RecurrentFold& fold) {
        std::vector<NamedNormalizer> own = normalizers((*fold.net)[fold.layer]);
        return std::ranges::find(own, normalizer, &NamedNormalizer::normalizer) != own.end();
    };
    return std::ranges::any_of(folds, [&](const Fold& fold) { return &fold.batch_norm() == normalizer; }) ||
           std::ranges::any_of(cells, holds);
}

void require_evaluation(Module& model, const std::vector<NamedNormalizer>& present) {
    if (model.is_training()) refuse("the model", "be in evaluation mode", "training mode");
    for (const auto& [path, normalizer] : present) {
        std::string text = text_of(path, *normalizer) + ",";
        if (normalizer->uses() == Statistics::batch) refuse(text, "use the running statistics", "the batch's");
        if (normalizer->uses() == Statistics::by_mode && normalizer->is_training())
            refuse(text, "be in evaluation mode", "training mode");
    }
}

struct Folded {
    Tensor weight, bias;
};

/// Weight and bias of the layer with the batch norm, computed from `layer`, which may have taken in others before.
Folded folded(const Fold& fold, const Folded& layer) {
    const BatchNorm& norm = fold.batch_norm();
    const WeightedSum& target = fold.target();
    std::vector<double> factor;
    Tensor bias = Tensor::make<double>({target.output_channels()}, [&](std::span<double> bias) {
        for (std::int64_t c = 0; c < target.output_channels(); ++c) {
            double scale = norm.scale() ? norm.scale()->value().at(c) : 1,
                   shift = norm.shift() ? norm.shift()->value().at(c) : 0;
            factor.push_back(scale / std::sqrt(norm.running_variance().at(c) + norm.epsilon()));
            bias[static_cast<std::size_t>(c)] = (layer.bias.at(c) - norm.running_mean().at(c)) * factor.back() + shift;
        }
    });
    Tensor weight = Tensor::make<double>(layer.weight.shape(), [&](std::span<double> weight) {
        for (std::int64_t i = 0; i < layer.weight.size(); ++i)
            weight[static_cast<std::size_t>(i)] =
                layer.weight.at(i) * factor[static_cast<std::size_t>(target.channel_of(i))];
    });
    return {weight, bias};
}

/// How many nodes read a node.
std::size_t uses_of(const Tape& tape, NodeId id) {
    std::size_t uses = 0;
    for (NodeId user = 0; user < static_cast<NodeId>(tape.size()); ++user)
        uses += std::ranges::find(tape.node(user).inputs, id) != tape.node(user).inputs.end();
    return uses;
}

/// The model's output for the probe; sees to it that every batch norm normalises its layer's channels.
Tensor output_before(Module& model, const Tensor& probe, const std::vector<Fold>& folds) {
    if (probe.size() == 0) refuse("the probe", "hold at least one example", to_string(probe.shape()));
    if (std::optional<std::int64_t> position = first_non_finite(probe))
        refuse("the probe", "be finite", fmt::format("{} at element {}", probe.at(*position), *position));
    Measuring measuring(model);
    Tape tape;
    Var y = model(tape.constant(probe));
    for (const Fold& fold : folds) {
        auto found = std::ranges::find_if(measuring.measured(), [&](const Measuring::Measured& measured) {
            return measured.named.normalizer == &fold.batch_norm();
        });
        if (found->batches.empty())
            refuse("the probe", "reach every batch norm", "one that passes " + fold.norm.path + " by");
        const Shape& shape = found->batches[0].mean.shape();
        if (dynamic_cast<Linear*>(&fold.target()) && shape.size() > 2)
            refuse(fold.norm.text(), "normalise the last axis, on which the outputs of a Linear lie",
                   fmt::format("axis 1 of rank {}", shape.size()));
        if (fold.batch_norm().channels() != fold.target().output_channels())
            refuse(fold.norm.text(),
                   fmt::format("have the {} channels of {}", fold.target().output_channels(), fold.layer.path),
                   fmt::format("{}", fold.batch_norm().channels()));
        std::size_t runs = uses_of(tape, tape.variable(fold.target().weight()).id());
        if (runs > found->batches.size())
            refuse(fold.layer.text(), fmt::format("run as often as {}", fold.norm.path),
                   fmt::format("{} runs and {}", runs, found->batches.size()));
    }
    return y.value();
}

/// What folding changes in a model; taken back unless kept.
class Changes {
  public:
    Changes() = default;
    Changes(const Changes&) = delete;
    Changes& operator=(const Changes&) = delete;
    ~Changes() {
        if (kept_) return;
        for (auto& [net, layer, cell] : cells_) net->replace(layer, std::move(cell));
        for (auto& [place, norm] : removed_) place.whole->replace(place.index, std::move(norm));
        for (auto& [layer, weight, bias] : layers_) layer->set(weight, bias);
    }
    void set(WeightedSum& layer, const Folded& folded) {
        std::optional<Tensor> bias;
        if (layer.bias()) bias = layer.bias()->value();
        layers_.emplace_back(&layer, layer.weight().value(), bias);
        layer.set(folded.weight, folded.bias);
    }
    void remove(const Place& place) {
        auto identity = std::make_unique<Identity>();
        identity->evaluate();
        removed_.emplace_back(place, place.whole->replace(place.index, std::move(identity)));
    }
    void replace(RecurrentFold& fold) {
        cells_.emplace_back(fold.net, fold.layer, fold.net->replace(fold.layer, std::move(fold.folded)));
    }
    void keep() { kept_ = true; }

  private:
    std::vector<std::tuple<WeightedSum*, Tensor, std::optional<Tensor>>> layers_;
    std::vector<std::pair<Place, std::unique_ptr<Module>>> removed_;
    std::vector<std::tuple<Recurrent*, std::size_t, std::unique_ptr<RecurrentCell>>> cells_;
    bool kept_ = false;
};

} // namespace

FoldReport fold_batch_norm(Module& model, const Tensor& probe) {
    std::vector<NamedNormalizer> present = normalizers(model);
    require_evaluation(model, present);
    LayerChains chains(model);
    std::vector<Fold> folds = pair_up(chains);
    std::vector<RecurrentFold> cells = fold_cells(chains);
    FoldReport report;
    for (const auto& [path, normalizer] : present) {
        if (!is_folded(normalizer, folds, cells))
            refuse(text_of(path, *normalizer) + ",",
                   "follow a Linear or a convolution in a Sequential, or be part of a BatchNormLSTM", "another place");
        report.folded.push_back(path);
    }
    Tensor before = output_before(model, probe, folds);

    std::map<WeightedSum*, Folded> now;
    for (const Fold& fold : folds) {
        WeightedSum& target = fold.target();
        Tensor bias = target.bias() ? target.bias()->value() : Tensor::full({target.output_channels()}, 0);
        auto [place, added] = now.try_emplace(&target, Folded{target.weight().value(), bias});
        place->second = folded(fold, place->second);
    }
    for (auto& [target, layer] : now) {
        layer = {layer.weight.as(Dtype::float32), layer.bias.as(Dtype::float32)};
        require_finite(target->describe(), layer.weight);
        require_finite(target->describe(), layer.bias);
    }

    Changes changes;
    for (const auto& [target, layer] : now) changes.set(*target, layer);
    for (const Fold& fold : folds) changes.remove(fold.norm);
    for (RecurrentFold& fold : cells) changes.replace(fold);
    Tape tape;
    Tensor after = model(tape.constant(probe)).value();
    changes.keep();
    for (std::int64_t i = 0; i < after.size(); ++i) {
        double deviation = std::abs(after.at(i) - before.at(i));
        if (std::isnan(deviation) || deviation > report.largest_deviation) report.largest_deviation = deviation;
        report.largest_output = std::max(report.largest_output, std::abs(before.at(i)));
    }
    return report;
}

FoldReport fold_batch_norm(Module& model, const Shape& shape, std::mt19937& random) {
    return fold_batch_norm(model, normal(shape, 0, 1, random));
}

} // namespace cotape::nn

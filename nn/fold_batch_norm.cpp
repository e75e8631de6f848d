#include <cotape/nn/fold_batch_norm.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/nn/batch_norm.hpp>
#include <cotape/nn/identity.hpp>
#include <cotape/nn/initializers.hpp>
#include <cotape/nn/linear.hpp>
#include <cotape/nn/sequential.hpp>

namespace cotape::nn {
namespace {

/// A part of a Sequential, in its place.
struct Place {
    Sequential* whole;
    std::size_t index;
    std::string path;

    Module& part() const { return (*whole)[index]; }
    std::string text() const { return fmt::format("{}, {}", path, part().describe()); }
};

/// What a model is made of, as far as folding must know it.
class Plan : public Visitor {
  public:
    /// What runs one after the other: the parts of a Sequential, with those of Sequentials inside it in their places.
    std::vector<std::vector<Place>> chains;
    /// Under which paths each state, and each module, stands.
    std::map<std::uint64_t, std::vector<std::string>> states;
    std::map<const Module*, std::vector<std::string>> modules;

    explicit Plan(Module& model) { enter(model, false); }
    void operator()(std::string_view name, Parameter& parameter) override {
        (*this)(name, static_cast<State&>(parameter));
    }
    void operator()(std::string_view name, State& state) override { states[state.id()].push_back(path_to(name)); }
    void operator()(std::string_view name, Module& module) override {
        std::string parent = std::exchange(path_, path_to(name));
        enter(module, false);
        path_ = parent;
    }

  private:
    std::string path_to(std::string_view name) const {
        return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
    }

    void enter(Module& module, bool in_chain) {
        modules[&module].push_back(path_);
        auto* whole = dynamic_cast<Sequential*>(&module);
        if (!whole) return module.visit(*this);
        if (!in_chain) chains.emplace_back();
        std::size_t chain = chains.size() - 1;
        std::string parent = path_;
        for (std::size_t i = 0; i < whole->size(); ++i) {
            path_ = parent.empty() ? std::to_string(i) : fmt::format("{}.{}", parent, i);
            bool nested = dynamic_cast<Sequential*>(&(*whole)[i]);
            if (!nested) chains[chain].push_back({whole, i, path_});
            enter((*whole)[i], nested);
        }
        path_ = parent;
    }

    std::string path_;
};

[[noreturn]] void refuse(const std::string& what, const std::string& required, const std::string& arrived) {
    throw ValueError(fmt::format("fold_batch_norm: {} must {}, got {}", what, required, arrived));
}

/// A batch norm with the layer that takes it in.
struct Fold {
    Place norm, layer;

    BatchNorm& batch_norm() const { return dynamic_cast<BatchNorm&>(norm.part()); }
    WeightedSum& target() const { return dynamic_cast<WeightedSum&>(layer.part()); }
};

void require_alone(const Plan& plan, const Place& place) {
    const std::vector<std::string>& own = plan.modules.at(&place.part());
    if (own.size() > 1) refuse(place.text(), "be shared by nothing else", "it also as " + own[1]);
    for (const Named<Parameter>& named : place.part().parameters())
        for (const std::string& path : plan.states.at(named.state.id()))
            if (path != fmt::format("{}.{}", place.path, named.path))
                refuse(place.text(), "be shared by nothing else", "its " + named.path + " also as " + path);
}

/// Pairs every batch norm with the layer before it.
std::vector<Fold> pair_up(const Plan& plan) {
    std::vector<Fold> folds;
    for (const std::vector<Place>& chain : plan.chains) {
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
            require_alone(plan, *before);
            require_alone(plan, place);
            folds.push_back({place, *before});
        }
    }
    return folds;
}

void require_evaluation(Module& model, const std::vector<NamedNormalizer>& present) {
    if (model.is_training()) refuse("the model", "be in evaluation mode", "training mode");
    for (const auto& [path, normalizer] : present) {
        std::string text = fmt::format("{}, {},", path.empty() ? "the model" : path, normalizer->describe());
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

/// The model's output for the probe; sees to it that every batch norm normalises its layer's channels.
Tensor output_before(Module& model, const Tensor& probe, const std::vector<Fold>& folds) {
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
    void keep() { kept_ = true; }

  private:
    std::vector<std::tuple<WeightedSum*, Tensor, std::optional<Tensor>>> layers_;
    std::vector<std::pair<Place, std::unique_ptr<Module>>> removed_;
    bool kept_ = false;
};

} // namespace

FoldReport fold_batch_norm(Module& model, const Tensor& probe) {
    std::vector<NamedNormalizer> present = normalizers(model);
    require_evaluation(model, present);
    Plan plan(model);
    std::vector<Fold> folds = pair_up(plan);
    for (const auto& [path, normalizer] : present)
        if (std::ranges::none_of(folds, [&](const Fold& fold) { return &fold.batch_norm() == normalizer; }))
            refuse(fmt::format("{}, {},", path.empty() ? "the model" : path, normalizer->describe()),
                   "follow a Linear or a convolution in a Sequential", "another place");
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
        if (first_non_finite(layer.weight) || first_non_finite(layer.bias))
            refuse("what " + target->describe() + " becomes", "be finite",
                   "a variance of 0, or a value beyond float32");
    }

    Changes changes;
    for (const auto& [target, layer] : now) changes.set(*target, layer);
    FoldReport report;
    for (const Fold& fold : folds) {
        report.folded.push_back(fold.norm.path);
        changes.remove(fold.norm);
    }
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

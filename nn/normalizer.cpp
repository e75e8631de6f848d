#include <cotape/nn/normalizer.hpp>

#include <algorithm>
#include <cstdio>
#include <ranges>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape::nn {
namespace {

/// Of the counts of the batches that each mean holds: one for each time step, or a scalar.
Shape count_shape(const Shape& statistics) {
    Shape shape;
    for (std::size_t axis = 0; axis + 1 < statistics.size(); ++axis) shape.push_back(statistics[axis]);
    if (!shape.empty()) shape.push_back(1);
    return shape;
}

Tensor transformed(const Tensor& counts, double (*function)(double)) {
    std::span<const double> from = counts.elements<double>();
    return Tensor::make<double>(counts.shape(),
                                [&](std::span<double> to) { std::ranges::transform(from, to.begin(), function); });
}

/// Lists the normalisers of a module tree.
class FindNormalizers : public Visitor {
  public:
    std::vector<NamedNormalizer> found;

    void start(Module& root) {
        note(root);
        root.visit(*this);
    }
    void operator()(std::string_view, Parameter&) override {}
    void operator()(std::string_view, State&) override {}
    void operator()(std::string_view name, Module& module) override {
        std::string parent = path_;
        path_ += path_.empty() ? std::string(name) : fmt::format(".{}", name);
        start(module);
        path_ = parent;
    }

  private:
    void note(Module& module) {
        auto* normalizer = dynamic_cast<Normalizer*>(&module);
        if (normalizer && std::ranges::find(found, normalizer, &NamedNormalizer::normalizer) == found.end())
            found.push_back({path_, normalizer});
    }

    std::string path_;
};

} // namespace

Normalizer::Normalizer(std::string name, const Shape& shape, double epsilon, std::optional<double> momentum)
    : name_(std::move(name)), epsilon_(epsilon), momentum_(momentum), running_mean_(Tensor::full(shape, 0)),
      running_variance_(Tensor::full(shape, 1)), batches_seen_(Tensor::full(count_shape(shape), 0)) {
    if (momentum && !(*momentum >= 0 && *momentum <= 1))
        throw ValueError(fmt::format("{}: momentum must be in [0, 1], got {}", name_, *momentum));
    if (!(epsilon >= 0)) throw ValueError(fmt::format("{}: epsilon must not be negative, got {}", name_, epsilon));
}

bool Normalizer::normalizes_by_batch() const {
    return statistics_ == Statistics::batch || (statistics_ == Statistics::by_mode && is_training());
}

void Normalizer::track(const BatchStatistics& batch) {
    auto is_this = [&](const BatchStatistics& other) { return is_same(other.mean, batch.mean); };
    if (measured_ && std::ranges::none_of(*measured_, is_this)) measured_->push_back(batch);
    bool updated = update_ == Update::always || (update_ == Update::by_mode && is_training());
    if (normalizes_by_batch() && updated && !has_proposed(batch.mean)) propose(batch);
}

/// Whether the batch with this mean is among those that lead to what the tape proposes now.
bool Normalizer::has_proposed(Var mean) {
    std::erase_if(proposals_, [](const Proposal& proposal) { return !proposal.after.is_recorded(); });
    Var running = mean.tape().proposed(running_mean_);
    for (const Proposal& proposal : proposals_ | std::views::reverse) {
        if (!is_same(proposal.after, running)) continue;
        if (is_same(proposal.batch, mean)) return true;
        running = proposal.before;
    }
    return false;
}

void Normalizer::propose(const BatchStatistics& batch) {
    Tape& tape = batch.mean.tape();
    Dtype dtype = batch.mean.dtype();
    bool by_step = !batch.count.shape().empty();
    auto per_step = [&](double (*function)(double)) -> Operand {
        if (!by_step) return function(batch.count.item());
        return tape.variable(transformed(batch.count, function).as(dtype));
    };
    Operand seen = per_step([](double n) { return n > 1 ? 1.0 : 0.0; });
    Operand correction = per_step([](double n) { return n > 1 ? n / (n - 1) : 0.0; });

    Var before = tape.proposed(running_mean_);
    require_dtype(before, dtype);
    Var batches = tape.proposed(batches_seen_) + seen;
    Var weight =
        momentum_ ? tape.full({}, *momentum_, dtype) : reciprocal(maximum(batches, 1)); // a step may have none yet
    auto follow = [&](const State& state, Var latest) {
        Var running = tape.proposed(state);
        Var moved = (1 - weight) * running + weight * reshape(latest, state.type().shape);
        tape.propose(state, by_step ? where(seen, moved, running) : moved);
    };
    follow(running_mean_, batch.mean);
    follow(running_variance_, reshape(batch.variance, running_variance_.type().shape) * correction);
    tape.propose(batches_seen_, batches);
    proposals_.push_back({before, batch.mean, tape.proposed(running_mean_)});
}

std::pair<Var, Var> Normalizer::running_statistics(Tape& tape) {
    if (!warned_ && batches_seen() == 0) {
        warned_ = true;
        std::fputs(fmt::format("cotape: {} evaluates before any training step: its running mean is 0 and its running "
                               "variance 1\n",
                               name_)
                       .c_str(),
                   stderr);
    }
    return {tape.variable(running_mean_), tape.variable(running_variance_)};
}

std::int64_t Normalizer::batches_seen() const {
    return static_cast<std::int64_t>(std::ranges::max(batches_seen_.value().elements<float>()));
}

void Normalizer::set_running_statistics(Tensor mean, Tensor variance, Tensor batches) {
    const Type& required = running_mean_.type();
    std::string mismatch = fmt::format("{}: running statistics must be {}, got {} and {}", name_, to_string(required),
                                       to_string(mean.type()), to_string(variance.type()));
    if (mean.dtype() != required.dtype || variance.dtype() != required.dtype) throw DtypeError(mismatch);
    if (!(mean.shape() == required.shape) || !(variance.shape() == required.shape)) throw ShapeError(mismatch);
    std::span<const float> variances = variance.elements<float>();
    auto negative = std::ranges::find_if(variances, [](float value) { return !(value >= 0); });
    if (negative != variances.end()) {
        std::int64_t position = negative - variances.begin(), channels = required.shape.back();
        std::string step = required.shape.size() > 1 ? fmt::format(" at step {}", position / channels) : "";
        throw ValueError(fmt::format("{}: the running variance of channel {}{} must not be negative, got {}", name_,
                                     position % channels, step, *negative));
    }
    const Type& counts = batches_seen_.type();
    if (batches.empty()) {
        batches = transformed(batches_seen_.value().as(Dtype::float64), [](double n) { return n > 1 ? n : 1.0; });
        batches = batches.as(counts.dtype);
    }
    mismatch = fmt::format("{}: the numbers of batches must be {}, got {}", name_, to_string(counts),
                           to_string(batches.type()));
    if (batches.dtype() != counts.dtype) throw DtypeError(mismatch);
    if (!(batches.shape() == counts.shape)) throw ShapeError(mismatch);
    for (float count : batches.elements<float>())
        if (!(count >= 0))
            throw ValueError(fmt::format("{}: a number of batches must not be negative, got {}", name_, count));
    running_mean_.assign(std::move(mean));
    running_variance_.assign(std::move(variance));
    batches_seen_.assign(std::move(batches));
    set_ = true;
}

void Normalizer::visit(Visitor& visitor) {
    visitor("running_mean", running_mean_);
    visitor("running_var", running_variance_);
    visitor("num_batches_tracked", batches_seen_);
}

std::string Normalizer::describe_statistics() const {
    std::string text = fmt::format(", epsilon {}, ", epsilon_);
    text += momentum_ ? fmt::format("momentum {} of the new value", *momentum_) : "plain average";
    text += ", running variance / (n - 1)";
    if (statistics_ == Statistics::batch) text += ", always the batch's statistics";
    if (statistics_ == Statistics::population) text += ", always the running statistics";
    if (update_ == Update::always) text += ", always updated";
    if (update_ == Update::never) text += ", never updated";
    return text;
}

std::int64_t reached_step(const Tensor& counts, std::int64_t step) {
    for (std::int64_t earlier = step; earlier >= 0; --earlier)
        if (counts.at(earlier) > 0) return earlier;
    for (std::int64_t later = step + 1; later < counts.size(); ++later)
        if (counts.at(later) > 0) return later;
    return -1;
}

std::vector<NamedNormalizer> normalizers(Module& module) {
    FindNormalizers find;
    find.start(module);
    return find.found;
}

Measuring::Measuring(Module& module) {
    for (const NamedNormalizer& named : normalizers(module)) measured_.push_back({named, {}});
    for (Measured& each : measured_) before_.push_back(std::exchange(each.named.normalizer->measured_, &each.batches));
}

Measuring::~Measuring() {
    for (std::size_t i = 0; i < measured_.size(); ++i) measured_[i].named.normalizer->measured_ = before_[i];
}

void Measuring::clear() {
    for (Measured& each : measured_) each.batches.clear();
}

} // namespace cotape::nn

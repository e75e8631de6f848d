#include <cotape/core/fold_walk.hpp>

#include <algorithm>
#include <array>
#include <bit>

#include <cotape/core/dispatch.hpp>

namespace cotape {
namespace {

/// Joining so few elements or rows would take as long as folding them, and so many stretches are enough for threads.
constexpr std::int64_t least_elements_of_stretch = 4096, least_rows_of_stretch = 32;
constexpr std::int64_t most_stretches = 4;
/// So many pixels a stretch of channels has in each image, or at least half as many where there are few channels.
constexpr std::int64_t least_pixels_of_stretch = 512;

} // namespace

std::int64_t rows_of_stretch(std::int64_t rows, std::int64_t columns) {
    std::int64_t most = std::min(rows / least_rows_of_stretch, rows * columns / least_elements_of_stretch);
    std::uint64_t stretches = static_cast<std::uint64_t>(std::clamp<std::int64_t>(most, 1, most_stretches));
    std::int64_t even = static_cast<std::int64_t>(std::bit_floor(stretches)); // two threads have as many, and four
    return std::max<std::int64_t>(1, (rows + even - 1) / even);
}

std::int64_t channels_of_stretch(std::int64_t channels, std::int64_t pixels) {
    std::int64_t wanted = (least_pixels_of_stretch + pixels - 1) / pixels;
    return std::clamp<std::int64_t>(channels / least_blocks, 1, wanted);
}

FoldWalk::FoldWalk(const GroupFold& fold, const Shape& space) : kernel_(fold.kernel), operand_(fold.operand) {
    std::int64_t outputs = 1;
    for (std::size_t i = space.size(); i-- > 0;) {
        bool reduced = std::ranges::find(fold.axes, static_cast<std::int64_t>(i)) != fold.axes.end();
        if (reduced) reduced_count_ *= space[i];
        if (space[i] == 1) continue;
        if (!axes_.empty() && axes_.back().reduced == reduced)
            axes_.back().extent *= space[i];
        else
            axes_.push_back({space[i], outputs, reduced});
        if (!reduced) outputs *= space[i];
    }
    if (axes_.empty()) axes_.push_back({1, 1, true});
    outputs_ = outputs;
    count_ = element_count(space);
    for (const Axis& axis : axes_)
        if (&axis != &axes_.back() || axis.reduced) block_ *= std::max<std::int64_t>(1, axis.extent);
}

bool FoldWalk::folds_channels() const {
    return axes_.size() == 3 && axes_[0].reduced && outputs_ >= least_blocks && count_ > least_chunk &&
           2 * run() * channels_of_stretch(outputs_, run()) >= least_pixels_of_stretch;
}

bool FoldWalk::folds_within_chunks() const {
    if (count_ <= least_chunk || folds_channels() || (folds_rows() && run() >= least_columns)) return true;
    return block_ <= least_chunk || count_ / block_ >= least_blocks;
}

void FoldWalk::start(double* state, std::int64_t outputs, std::int64_t stride) const {
    for (std::size_t plane = 0; plane < static_cast<std::size_t>(kernel_->planes); ++plane, state += stride)
        std::fill_n(state, outputs, kernel_->start[plane]);
}

void FoldWalk::take(const std::byte* elements, std::int64_t begin, std::int64_t count, Dtype dtype,
                    double* state) const {
    const Axis& inner = axes_[0];
    while (count > 0) {
        std::int64_t within = begin % inner.extent, outer = begin / inner.extent, output = 0;
        for (std::size_t i = 1; i < axes_.size(); ++i) {
            if (!axes_[i].reduced) output += outer % axes_[i].extent * axes_[i].output_stride;
            outer /= axes_[i].extent;
        }
        std::int64_t length = std::min(count, inner.extent - within);
        if (inner.reduced) {
            kernel_->take_run(elements, dtype, length, state + output, outputs_);
        } else {
            std::int64_t rows = 1;
            if (within == 0 && axes_.size() > 1) { // as many as go into the same outputs
                std::int64_t left = axes_[1].extent - begin / inner.extent % axes_[1].extent;
                rows = std::clamp<std::int64_t>(count / length, 1, left);
            }
            kernel_->take_rows(elements, dtype, {rows, length, length}, state + output + within, outputs_);
            length *= rows;
        }
        elements += static_cast<std::size_t>(length) * size_of(dtype);
        begin += length;
        count -= length;
    }
}

void FoldWalk::take_rows(const std::byte* elements, const FoldRows& rows, Dtype dtype, double* state) const {
    kernel_->take_rows(elements, dtype, rows, state, rows.width);
}

void FoldWalk::join(double* states, std::int64_t count, std::int64_t outputs, const Outputs& joined) const {
    double* into = states + joined.begin;
    for (std::int64_t i = 1; i < count; ++i)
        kernel_->join(into, into + i * static_cast<std::int64_t>(state_size(outputs)), joined.end - joined.begin,
                      outputs);
}

FoldWalk::Outputs FoldWalk::outputs_of(std::int64_t begin, std::int64_t end) const {
    if (count_ == 0) return {0, outputs_};
    return {begin / block_ * (outputs_ * block_ / count_), end / block_ * (outputs_ * block_ / count_)};
}

void FoldWalk::finish(const GroupFold& fold, const double* state, std::int64_t stride, const Outputs& outputs,
                      Dtype dtype, std::byte* results) const {
    auto* finish = fold.is_within ? fold.kernel->finish_within : fold.kernel->finish;
    std::array<double, 256> values;
    visit_floating(dtype, [&]<class T>(T) {
        T* into = reinterpret_cast<T*>(results);
        std::int64_t count = 0;
        for (std::int64_t first = outputs.begin; first < outputs.end; first += count) {
            count = std::min<std::int64_t>(values.size(), outputs.end - first);
            finish(state + first - outputs.begin, values.data(), count, stride, reduced_count_);
            std::transform(values.begin(), values.begin() + count, into + first,
                           [](double value) { return static_cast<T>(value); });
        }
    });
}

} // namespace cotape

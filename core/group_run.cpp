#include <cotape/core/group_run.hpp>

#include <algorithm>
#include <bit>
#include <numeric>

#include <omp.h>

#include <cotape/core/buffer_pool.hpp>

namespace cotape {
namespace {

/// What the tiles of all operands should have together, to stay in the first-level cache.
constexpr std::int64_t elements_of_cache = 8 * 1024;
/// So many times as long is a tile of few operands, at most.
constexpr std::int64_t most_lengthened = 4;
/// The most elements of tiles, and rows of columns, that folds take in at a time: their state is read and written once
/// for so many.
constexpr std::int64_t elements_of_visit = 4 * longest_tile;
constexpr std::int64_t rows_of_visit = 16;
constexpr std::int64_t most_chunks = 32;
/// Shorter rows are better copied together.
constexpr std::int64_t least_row = 64;
/// Rows that each chunk folds at least, lest joining the folds cost as much as folding.
constexpr std::int64_t least_rows = 64;

/// Threads that share out columns fetch each other's lines ahead of time: what stays in their caches is faster folded
/// by rows.
constexpr std::int64_t bytes_for_rows = 2 * 1024 * 1024;

/// Additions that are worth a thread: some microseconds.
constexpr std::int64_t least_work = 128 * 1024;

} // namespace

std::int64_t cost_of(const Group& group) { return element_count(group.space.shape) * group.cost; }

std::int64_t threads_for(std::int64_t cost) {
    return std::clamp<std::int64_t>(cost / least_work, 1, omp_get_max_threads());
}

GroupRun::GroupRun(Tape& tape, const Group& group, ResultMemory& memory, bool recycles, const Parts* parts)
    : tape_(tape), group_(group), memory_(memory), element_size_(size_of(group.space.dtype)),
      count_(element_count(group.space.shape)), row_(count_), recycles_(recycles) {
    std::int64_t run = count_;
    for (const FoldWalk& walk : group.walks) run = std::min(run, walk.run());
    for (const BroadcastPattern& pattern : group.patterns) run = std::min(run, pattern.run());
    for (const GroupLoad& load : group.loads) loaded_.push_back(tape.computed(load.node).bytes_begin());
    for (const GroupStep& step : group.steps)
        if (step.in_rows)
            rows_.push_back(memory.rows_of(step.store));
        else if (step.store >= 0)
            stored_.push_back(room_for(step.store, step.overwrites));
    for (const GroupFold& fold : group.folds) results_.push_back(room_for(fold.node));
    if (group.walks.empty())
        for (const PlacedRows& rows : rows_)
            if (rows.width >= least_row) run = std::min(run, rows.width);
    run_ = std::max<std::int64_t>(1, run);
    if (std::ranges::any_of(group.steps, [](const GroupStep& step) { return !step.kernel; }))
        extent_ = group.space.shape.back();
    if (run_ <= longest_tile)
        tile_ = longest_tile / run_ * run_;
    else // equal parts of a run
        tile_ = (run_ / extent_ - 1) / ((run_ + longest_tile - 1) / longest_tile) * extent_ + extent_;
    tile_ = std::max<std::int64_t>(1, std::min(tile_, count_));
    if (parts) {
        take_parts(*parts);
    } else if (folds_channels()) {
        take_parts(parts_of_channels());
    } else {
        cut_into_chunks();
        stretch_ = chunk_;
    }
    size_tiles();
    if (by_columns_ || group_.walks.empty()) return;
    std::size_t bytes = 0;
    for (const FoldWalk& walk : group_.walks) bytes += state_bytes(walk, walk.outputs() * states_of(walk));
    states_ = allocate_buffer(bytes);
    std::byte* states = states_.get();
    for (const FoldWalk& walk : group_.walks) {
        state_of_walk_.push_back(reinterpret_cast<double*>(states));
        states += state_bytes(walk, walk.outputs() * states_of(walk));
    }
}

std::byte* GroupRun::room_for(NodeId node, OperandIndex overwrites) {
    auto put = [&](MutableTensor result) {
        std::byte* bytes = result.bytes();
        tape_.set_computed(node, std::move(result).freeze());
        return bytes;
    };
    if (recycles_ && overwrites >= 0) {
        const GroupLoad& load = group_.loads[static_cast<std::size_t>(overwrites)];
        if (memory_.is_overwritten_in_place(load.node)) {
            tape_.set_computed(load.node, Tensor()); // lest a failure leave half of it overwritten
        } else if (tape_.computed(load.node).is_held_by(load.of_state ? 2 : 1)) {
            Tensor old = tape_.computed(load.node);
            tape_.set_computed(load.node, Tensor());
            return put(MutableTensor(tape_.node(node).type, std::move(old)));
        }
    }
    return put(memory_.of(node));
}

/// Makes tiles that suit the cut: as wide as a part by columns, longer where there are few operands.
void GroupRun::size_tiles() {
    bool folds = !group_.walks.empty();
    if (by_columns_) {
        stretch_ = rows_of_stretch(count_ / run_, run_) * run_;
        tile_ = std::max<std::int64_t>(1, longest_tile / width_) * width_;
        if (folds) visit_ = std::max<std::int64_t>(1, elements_of_visit / tile_);
        visit_ = std::min(visit_, (rows_of_visit * width_ + tile_ - 1) / tile_);
        repetition_ = run_;
        return;
    }
    std::int64_t operands = static_cast<std::int64_t>(first_slot() + slots() + rows_.size());
    std::int64_t longer = std::clamp<std::int64_t>(elements_of_cache / (operands * tile_), 1, most_lengthened);
    if (folds) {
        visit_ = std::max<std::int64_t>(1, elements_of_visit / tile_);
        while (visit_ % longer != 0) --longer; // a visit takes in as many elements, in the same order
        visit_ /= longer;
    }
    tile_ = std::max<std::int64_t>(1, std::min(longer * tile_, count_));
    repetition_ = std::gcd(std::gcd(tile_, chunk_), stretch_); // of which all tiles begin at a multiple
    if (run_ > tile_) repetition_ = std::gcd(repetition_, run_);
    if (has_channels()) repetition_ = std::gcd(repetition_, row_);
    by_rows_ = run_ >= least_row && run_ < tile_ && repetition_ % run_ == 0 &&
               (!rows_.empty() || std::ranges::any_of(group_.patterns, &BroadcastPattern::has_rows_apart));
    if (by_rows_) repetition_ = run_;
}

void GroupRun::take_parts(const Parts& parts) {
    std::int64_t inner = parts.cut.inner(count_);
    chunks_ = parts.count();
    chunk_ = inner * parts.width;
    stretch_ = inner * parts.unit;
    row_ = inner * parts.cut.count;
    by_columns_ = parts.cut.into == Cut::Into::columns;
    if (by_columns_) width_ = parts.width, run_ = row_;
}

/// Whether all folds take in pixels of the same channels.
bool GroupRun::folds_channels() const {
    const std::vector<FoldWalk>& walks = group_.walks;
    return !walks.empty() && walks.front().run() % extent_ == 0 &&
           std::ranges::all_of(walks, [&](const FoldWalk& walk) {
               return walk.folds_channels() && walk.run() == walks.front().run() &&
                      walk.outputs() == walks.front().outputs();
           });
}

/// As many channels for each thread.
Parts GroupRun::parts_of_channels() const {
    std::int64_t channels = group_.walks.front().outputs(), pixels = group_.walks.front().run();
    std::int64_t threads = threads_for(cost_of(group_)), stretch = channels_of_stretch(channels, pixels);
    std::int64_t stretches = (channels + stretch - 1) / stretch, share = (stretches + threads - 1) / threads;
    return {{Cut::Into::channels, channels, pixels}, share * stretch, stretch};
}

/// The rows that all folds take in, one after the other, into the same outputs; 0 where there is none such.
std::int64_t GroupRun::common_row() const {
    std::int64_t row = group_.walks.empty() ? 0 : group_.walks.front().run();
    bool folds_rows = std::ranges::all_of(
        group_.walks, [&](const FoldWalk& walk) { return walk.folds_rows() && walk.run() == row; });
    return folds_rows ? row : 0;
}

/// Without folds there are as many chunks as threads that pay. Otherwise each output is folded within one chunk where
/// that can be: chunks are then columns, at most a tile wide, one or more for each thread, or whole blocks. What
/// remains, and what is small, is cut into a size that depends on the space alone.
void GroupRun::cut_into_chunks() {
    std::int64_t row = common_row(), bytes = count_ * static_cast<std::int64_t>(element_size_);
    by_columns_ = row == run_ && row >= least_columns && bytes > bytes_for_rows;
    bool in_stretches = !by_columns_ && (row >= least_columns || bytes <= bytes_for_rows);
    if (row > 0 && in_stretches && row % run_ == 0 && row % extent_ == 0) {
        chunk_ = rows_of_stretch(count_ / row, row) * row;
        chunks_ = std::max<std::int64_t>(1, (count_ + chunk_ - 1) / chunk_);
        return;
    }
    std::int64_t threads = threads_for(cost_of(group_));
    if (by_columns_) {
        std::int64_t unit = std::lcm(extent_, columns_of_cache_line);
        std::int64_t width = ((run_ + threads - 1) / threads + unit - 1) / unit * unit;
        width_ = std::min(tile_, width);
        chunks_ = (run_ + width_ - 1) / width_;
        return;
    }
    if (group_.walks.empty()) {
        chunk_ = std::max<std::int64_t>(1, (count_ / threads + tile_ - 1) / tile_) * tile_;
        chunks_ = std::max<std::int64_t>(1, (count_ + chunk_ - 1) / chunk_);
        return;
    }
    std::int64_t least = std::max(least_chunk, (count_ + most_chunks - 1) / most_chunks), unit = 1;
    std::int64_t wanted = least;
    for (const FoldWalk& walk : group_.walks) {
        if (walk.block() <= least || count_ / walk.block() >= least_blocks) {
            unit = std::max(unit, walk.block());
        } else if (!walk.run_is_reduced()) {
            unit = std::max(unit, walk.run());
            wanted = std::max(wanted, least_rows * walk.run());
        }
    }
    if (unit == 1) unit = tile_;
    chunk_ = (wanted + unit - 1) / unit * unit;
    chunks_ = std::max<std::int64_t>(1, (count_ + chunk_ - 1) / chunk_);
}

bool GroupRun::is_folded(std::size_t operand) const {
    return std::ranges::any_of(group_.folds, [&](const GroupFold& fold) {
        return static_cast<std::size_t>(fold.operand) == operand;
    });
}

std::size_t GroupRun::slot_bytes(std::size_t slot) const {
    return tile_bytes() * (is_folded(first_slot() + slot) ? static_cast<std::size_t>(visit_) : 1);
}

std::size_t GroupRun::scratch_bytes() const {
    std::size_t bytes = group_.patterns.size() * tile_bytes();
    for (std::size_t slot = 0; slot < slots(); ++slot) bytes += slot_bytes(slot);
    if (by_columns_)
        for (const FoldWalk& walk : group_.walks) bytes += state_bytes(walk, 2 * width_);
    return bytes;
}

double* GroupRun::state_of(std::size_t walk, std::int64_t stretch) const {
    std::size_t state = states_of(group_.walks[walk]) == 1 ? 0 : static_cast<std::size_t>(stretch);
    return state_of_walk_[walk] + state * group_.walks[walk].state_size(group_.walks[walk].outputs());
}

void GroupRun::finish(std::size_t walk, const double* state, std::int64_t stride, const FoldWalk::Outputs& outputs) {
    for (std::size_t i = 0; i < group_.folds.size(); ++i)
        if (const GroupFold& fold = group_.folds[i]; static_cast<std::size_t>(fold.walk) == walk)
            group_.walks[walk].finish(fold, state, stride, outputs, tape_.node(fold.node).type.dtype, results_[i]);
}

bool GroupRun::is_joined() const {
    return std::ranges::any_of(group_.walks, [&](const FoldWalk& walk) { return states_of(walk) > 1; });
}

void GroupRun::join(std::int64_t share, std::int64_t shares) {
    for (std::size_t i = 0; i < group_.walks.size(); ++i) {
        const FoldWalk& walk = group_.walks[i];
        if (states_of(walk) == 1) continue;
        std::int64_t outputs = walk.outputs(), line = columns_of_cache_line;
        std::int64_t each = ((outputs + shares - 1) / shares + line - 1) / line * line;
        FoldWalk::Outputs joined{std::min(outputs, share * each), std::min(outputs, (share + 1) * each)};
        if (joined.begin == joined.end) continue;
        walk.join(state_of(i), states_of(walk), outputs, joined);
        finish(i, state_of(i) + joined.begin, outputs, joined);
    }
}

} // namespace cotape

#include <cotape/core/group_worker.hpp>

#include <algorithm>

namespace cotape {

GroupWorker::GroupWorker(GroupRun& run, std::byte* scratch)
    : run_(run), operands_(run.first_slot() + run.slots()), distances_(operands_.size()),
      folded_(run.group_.walks.size()) {
    const Group& group = run.group_;
    std::size_t reader = 0;
    readings_.reserve(group.patterns.size());
    for (std::size_t i = 0; i < group.loads.size(); ++i) {
        if (group.loads[i].in_place) {
            stored_.push_back({i, const_cast<std::byte*>(run.loaded_[i])});
            continue;
        }
        const BroadcastPattern& pattern = group.patterns[reader++];
        readings_.emplace_back(i, BroadcastReader(pattern, run.loaded_[i]), scratch,
                               pattern.repeats_every(run.repetition_));
        scratch += run.tile_bytes();
    }
    for (std::size_t i = 0; i < run.stored_.size(); ++i) stored_.push_back({group.loads.size() + i, run.stored_[i]});
    for (std::size_t slot = 0; slot < run.slots(); ++slot) {
        std::size_t operand = run.first_slot() + slot;
        operands_[operand] = scratch;
        if (run.is_folded(operand)) kept_.push_back({operand, scratch});
        scratch += run.slot_bytes(slot);
    }
    for (const FoldWalk& walk : run.group_.walks) {
        if (!run.by_columns_) break;
        states_.push_back(reinterpret_cast<double*>(scratch));
        scratch += GroupRun::state_bytes(walk, 2 * run.width_);
    }
}

void GroupWorker::run(std::int64_t part) {
    for (Reading& reading : readings_) reading.reader.expand_into(reading.buffer);
    if (run_.by_columns_)
        run_columns(part);
    else
        run_elements(part);
}

void GroupWorker::read_fixed(std::int64_t begin, std::int64_t width) {
    for (Reading& reading : readings_) {
        if (!reading.is_fixed) continue;
        operands_[reading.operand] =
            const_cast<std::byte*>(static_cast<const std::byte*>(reading.reader.read(begin, width)));
        distances_[reading.operand] = 0;
    }
}

/// Makes the states ready that the stretch from `begin` on is folded into.
void GroupWorker::start_stretch(std::int64_t begin, std::int64_t end) {
    const std::vector<FoldWalk>& walks = run_.group_.walks;
    for (std::size_t i = 0; i < walks.size(); ++i) {
        FoldWalk::Outputs outputs{0, walks[i].outputs()};
        if (run_.states_of(walks[i]) == 1)
            outputs = run_.outputs_of(walks[i], begin, std::min(end, begin + run_.stretch_));
        walks[i].start(run_.state_of(i, begin / run_.stretch_) + outputs.begin, outputs.end - outputs.begin,
                       walks[i].outputs());
    }
}

/// A few consecutive tiles at a time, row by row.
void GroupWorker::run_elements(std::int64_t chunk) {
    const std::vector<FoldWalk>& walks = run_.group_.walks;
    if (run_.by_rows_) std::ranges::fill(distances_, run_.run_);
    std::int64_t first = chunk * run_.chunk_, end = std::min(run_.row_, first + run_.chunk_);
    read_fixed(first, run_.by_rows_ ? run_.run_ : std::min(run_.tile_, run_.row_ - first));
    if (first == end) start_stretch(first, end);
    for (std::int64_t row = 0; row < run_.count_; row += run_.row_)
        for (std::int64_t begin = first, next = 0; begin < end; begin = next) {
            next = std::min({end, begin + run_.visit_ * run_.tile_, (begin / run_.stretch_ + 1) * run_.stretch_});
            if (row == 0 && begin % run_.stretch_ == 0) start_stretch(begin, end);
            for (std::int64_t at = begin, count = 0; at < next; at += count) {
                count = std::min(run_.tile_, next - at);
                if (run_.run_ > run_.tile_) count = std::min(count, run_.run_ - at % run_.run_); // stay within a run
                if (run_.by_rows_)
                    run_tile(row + at, count / run_.run_, run_.run_, at - begin);
                else
                    run_tile(row + at, 1, count, at - begin);
            }
            for (std::size_t i = 0; i < walks.size(); ++i)
                walks[i].take(folded_[i], row + begin, next - begin, run_.group_.space.dtype,
                              run_.state_of(i, begin / run_.stretch_));
        }
    for (std::size_t i = 0; i < walks.size(); ++i) {
        if (run_.states_of(walks[i]) > 1) continue;
        FoldWalk::Outputs outputs = run_.outputs_of(walks[i], first, end);
        run_.finish(i, run_.state_of(i) + outputs.begin, walks[i].outputs(), outputs);
    }
}

/// All rows of the part's columns, a few tiles at a time. Each stretch of rows is folded on its own, then joined to
/// those before it.
void GroupWorker::run_columns(std::int64_t part) {
    const std::vector<FoldWalk>& walks = run_.group_.walks;
    std::int64_t column = part * run_.width_, width = std::min(run_.width_, run_.run_ - column);
    for (const Operand& operand : stored_) distances_[operand.index] = run_.run_;
    for (std::size_t operand = run_.first_slot(); operand < operands_.size(); ++operand) distances_[operand] = width;
    read_fixed(column, width);
    std::int64_t rows = run_.count_ / run_.run_, height = run_.tile_ / run_.width_, stretch = run_.stretch_ / run_.run_;
    for (std::int64_t row = 0, next = 0; row < rows; row = next) {
        bool starts = row % stretch == 0;
        std::int64_t end = std::min(rows, (row / stretch + 1) * stretch);
        next = std::min(end, row + height * run_.visit_);
        for (std::int64_t at = row; at < next; at += height)
            run_tile(at * run_.run_ + column, std::min(height, next - at), width, (at - row) * width);
        for (std::size_t i = 0; i < states_.size(); ++i) {
            double* state = states_[i] + (row < stretch ? 0 : walks[i].state_size(width));
            if (starts) walks[i].start(state, width, width);
            std::int64_t distance = distances_[static_cast<std::size_t>(walks[i].operand())];
            walks[i].take_rows(folded_[i], {next - row, width, distance}, run_.group_.space.dtype, state);
            if (next == end && row >= stretch) walks[i].join(states_[i], 2, width, {0, width});
        }
    }
    for (std::size_t i = 0; i < states_.size(); ++i) run_.finish(i, states_[i], width, {column, column + width});
}

// The rows come in registers: what is stored piece by piece and loaded at once waits for all stores before it.
void GroupWorker::run_tile(std::int64_t begin, std::int64_t count, std::int64_t width, std::int64_t within) {
    FoldRows rows{count, width, run_.run_};
    const Group& group = run_.group_;
    std::int64_t element_size = static_cast<std::int64_t>(run_.element_size_), offset = begin * element_size;
    for (const Operand& operand : stored_) operands_[operand.index] = operand.begin + offset;
    offset = within * element_size;
    for (const Operand& operand : kept_) operands_[operand.index] = operand.begin + offset;
    for (Reading& reading : readings_) {
        if (reading.is_fixed) continue;
        BroadcastReader::Rows read = reading.reader.read_rows(begin, rows);
        operands_[reading.operand] = const_cast<std::byte*>(static_cast<const std::byte*>(read.first));
        distances_[reading.operand] = read.distance;
    }
    const void* inputs[most_step_operands];
    std::int64_t distances[most_step_operands + 1];
    Tile tile{static_cast<std::size_t>(count), static_cast<std::size_t>(width), distances};
    auto rows_to_put = run_.rows_.begin();
    for (const GroupStep& step : group.steps) {
        std::size_t operands = step.operands.size(), result = static_cast<std::size_t>(step.result);
        for (std::size_t i = 0; i < operands; ++i) {
            inputs[i] = operands_[static_cast<std::size_t>(step.operands[i])];
            distances[i] = distances_[static_cast<std::size_t>(step.operands[i])];
        }
        std::byte* output = operands_[result];
        distances[operands] = distances_[result];
        const PlacedRows* placed = step.in_rows ? &*rows_to_put++ : nullptr;
        bool in_place = placed && placed->have(begin, rows);
        if (in_place) {
            output = placed->first + placed->position(begin) * element_size;
            distances[operands] = rows.distance / placed->width * placed->distance;
        }
        std::size_t extent = static_cast<std::size_t>(run_.extent_);
        if (step.kernel)
            step.kernel(inputs, output, tile);
        else
            for (std::int64_t row = 0; row < rows.count; ++row)
                step.row_kernel(static_cast<const std::byte*>(inputs[0]) + row * distances[0] * element_size,
                                output + row * distances[1] * element_size, tile.columns / extent, extent);
        if (!placed || in_place) continue;
        for (std::int64_t row = 0; row < rows.count; ++row)
            placed->put(output + row * distances[operands] * element_size, begin + row * rows.distance, rows.width,
                        run_.element_size_);
    }
    if (within == 0)
        for (std::size_t i = 0; i < folded_.size(); ++i)
            folded_[i] = operands_[static_cast<std::size_t>(run_.group_.walks[i].operand())];
}

} // namespace cotape

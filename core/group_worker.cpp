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
        readings_.emplace_back(i, BroadcastReader(group.patterns[reader++], run.loaded_[i]), scratch);
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
        scratch += GroupRun::state_bytes(walk, run.width_);
    }
}

void GroupWorker::run(std::int64_t part) {
    for (Reading& reading : readings_) reading.reader.expand_into(reading.buffer);
    if (run_.by_columns_)
        run_columns(part);
    else
        run_elements(part);
}

/// A few consecutive tiles at a time.
void GroupWorker::run_elements(std::int64_t chunk) {
    const std::vector<FoldWalk>& walks = run_.group_.walks;
    if (run_.by_rows_) std::ranges::fill(distances_, run_.run_);
    std::int64_t first = chunk * run_.chunk_, end = std::min(run_.count_, first + run_.chunk_);
    for (std::int64_t begin = first, next = 0; begin < end; begin = next) {
        next = std::min({end, begin + run_.visit_ * run_.tile_, (begin / run_.stretch_ + 1) * run_.stretch_});
        for (std::int64_t at = begin, count = 0; at < next; at += count) {
            count = std::min(run_.tile_, next - at);
            if (run_.run_ > run_.tile_) count = std::min(count, run_.run_ - at % run_.run_); // stay within a run
            bool rows = run_.by_rows_ && at % run_.run_ == 0 && count % run_.run_ == 0;
            run_tile(at, rows ? FoldRows{count / run_.run_, run_.run_, run_.run_} : FoldRows{1, count, count},
                     at - begin);
        }
        for (std::size_t i = 0; i < walks.size(); ++i)
            walks[i].take(folded_[i], begin, next - begin, run_.group_.space.dtype,
                          run_.state_of(i, begin / run_.stretch_));
    }
    for (std::size_t i = 0; i < walks.size(); ++i) {
        FoldWalk::Outputs outputs = walks[i].outputs_of(first, end);
        if (run_.states_of(walks[i]) == 1)
            run_.finish(i, run_.state_of(i) + outputs.begin, walks[i].outputs(), outputs);
    }
}

/// All rows of the part's columns, a few tiles at a time.
void GroupWorker::run_columns(std::int64_t part) {
    const std::vector<FoldWalk>& walks = run_.group_.walks;
    std::int64_t column = part * run_.width_, width = std::min(run_.width_, run_.run_ - column);
    for (const Operand& operand : stored_) distances_[operand.index] = run_.run_;
    for (std::size_t operand = run_.first_slot(); operand < operands_.size(); ++operand) distances_[operand] = width;
    for (std::size_t i = 0; i < states_.size(); ++i) walks[i].start(states_[i], width);
    std::int64_t rows = run_.count_ / run_.run_, height = run_.tile_ / run_.width_;
    for (std::int64_t row = 0, next = 0; row < rows; row = next) {
        next = std::min(rows, row + height * run_.visit_);
        for (std::int64_t at = row; at < next; at += height)
            run_tile(at * run_.run_ + column, {std::min(height, next - at), width, run_.run_}, (at - row) * width);
        for (std::size_t i = 0; i < states_.size(); ++i) {
            std::int64_t distance = distances_[static_cast<std::size_t>(walks[i].operand())];
            walks[i].take_rows(folded_[i], {next - row, width, distance}, run_.group_.space.dtype, states_[i]);
        }
    }
    for (std::size_t i = 0; i < states_.size(); ++i) run_.finish(i, states_[i], width, {column, column + width});
}

void GroupWorker::run_tile(std::int64_t begin, const FoldRows& rows, std::int64_t within) {
    const Group& group = run_.group_;
    std::int64_t element_size = static_cast<std::int64_t>(run_.element_size_), offset = begin * element_size;
    for (const Operand& operand : stored_) operands_[operand.index] = operand.begin + offset;
    offset = within * element_size;
    for (const Operand& operand : kept_) operands_[operand.index] = operand.begin + offset;
    for (Reading& reading : readings_) {
        BroadcastReader::Rows read = reading.reader.read_rows(begin, rows);
        operands_[reading.operand] = const_cast<std::byte*>(static_cast<const std::byte*>(read.first));
        distances_[reading.operand] = read.distance;
    }
    const void* inputs[most_step_operands];
    std::int64_t distances[most_step_operands + 1];
    Tile tile{static_cast<std::size_t>(rows.count), static_cast<std::size_t>(rows.width), distances};
    auto rows_to_put = run_.rows_.begin();
    for (const GroupStep& step : group.steps) {
        std::size_t count = step.operands.size(), result = static_cast<std::size_t>(step.result);
        for (std::size_t i = 0; i < count; ++i) {
            inputs[i] = operands_[static_cast<std::size_t>(step.operands[i])];
            distances[i] = distances_[static_cast<std::size_t>(step.operands[i])];
        }
        std::byte* output = operands_[result];
        distances[count] = distances_[result];
        const PlacedRows* placed = step.in_rows ? &*rows_to_put++ : nullptr;
        bool in_place = placed && placed->have(begin, rows);
        if (in_place) {
            output = placed->first + placed->position(begin) * element_size;
            distances[count] = rows.distance / placed->width * placed->distance;
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
            placed->put(output + row * distances[count] * element_size, begin + row * rows.distance, rows.width,
                        run_.element_size_);
    }
    if (within == 0)
        for (std::size_t i = 0; i < folded_.size(); ++i)
            folded_[i] = operands_[static_cast<std::size_t>(run_.group_.walks[i].operand())];
}

} // namespace cotape

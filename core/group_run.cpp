#include <cotape/core/group_run.hpp>

#include <algorithm>
#include <exception>
#include <numeric>
#include <optional>

#include <omp.h>

#include <cotape/core/broadcast_reader.hpp>
#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/fold_walk.hpp>

namespace cotape {
namespace {

/// Elements of tiles that folds take in at a time: their state is read and written once for so many rows.
constexpr std::int64_t elements_of_visit = 8 * longest_tile;
constexpr std::int64_t least_chunk = 32 * 1024;
/// Additions that are worth a thread: some microseconds.
constexpr std::int64_t least_work = 128 * 1024;
constexpr std::int64_t most_chunks = 32;
/// Rows that each chunk folds at least, lest joining the folds cost as much as folding.
constexpr std::int64_t least_rows = 64;
/// Blocks that share no outputs become chunks where there are so many of them, or where they are small.
constexpr std::int64_t least_blocks = 8;
/// Rows of so many columns are cut into columns.
constexpr std::int64_t least_columns = 512;
constexpr std::int64_t columns_of_cache_line = 16;

/// One run of a group over its whole space.
class GroupRun {
  public:
    GroupRun(Tape& tape, const Group& group, bool recycles)
        : tape_(tape), group_(group), element_size_(size_of(group.space.dtype)),
          count_(element_count(group.space.shape)) {
        std::int64_t run = count_;
        for (const GroupFold& fold : group.folds) {
            if (fold.within >= 0) continue;
            walks_.emplace_back(fold, group.space.shape);
            run = std::min(run, walks_.back().run());
        }
        for (const GroupLoad& load : group.loads)
            if (!load.in_place) {
                readers_.emplace_back(tape.computed(load.node), load.shape, load.view, group.space.shape);
                run = std::min(run, readers_.back().run());
            }
        for (const GroupLoad& load : group.loads) loaded_.push_back(tape.computed(load.node).bytes_begin());
        for (const GroupStep& step : group.steps)
            if (step.store >= 0) stored_.push_back(room_for(step, recycles));
        run_ = std::max<std::int64_t>(1, run);
        if (std::ranges::any_of(group.steps, [](const GroupStep& step) { return !step.kernel; }))
            extent_ = group.space.shape.back();
        if (run_ <= longest_tile)
            tile_ = longest_tile / run_ * run_;
        else // equal parts of a run
            tile_ = (run_ / extent_ - 1) / ((run_ + longest_tile - 1) / longest_tile) * extent_ + extent_;
        tile_ = std::max<std::int64_t>(1, std::min(tile_, count_));
        cut_into_chunks();
        if (!walks_.empty()) visit_ = std::max<std::int64_t>(1, elements_of_visit / tile_);
        for (const FoldWalk& walk : walks_) {
            std::size_t size = walk.state_size() * static_cast<std::size_t>(states_of(walk));
            states_.push_back(allocate_buffer(size * sizeof(double)));
            walk.start(state_of(states_.size() - 1), states_of(walk));
        }
    }

    void run() {
        if (chunks_ == 1) {
            Worker(*this).run(0);
        } else {
            std::exception_ptr failure;
#pragma omp parallel
            {
                std::optional<Worker> worker;
                try {
                    worker.emplace(*this);
                } catch (...) {
#pragma omp critical
                    failure = std::current_exception();
                }
#pragma omp for schedule(static)
                for (std::int64_t chunk = 0; chunk < chunks_; ++chunk)
                    if (worker) worker->run(chunk);
            }
            if (failure) std::rethrow_exception(failure);
        }
        std::size_t next = 0;
        for (const GroupStep& step : group_.steps)
            if (step.store >= 0) tape_.set_computed(step.store, std::move(stored_[next++]).freeze());
        for (std::size_t i = 0; i < walks_.size(); ++i) walks_[i].join(state_of(i), states_of(walks_[i]));
        for (const GroupFold& fold : group_.folds) {
            const GroupFold& taken = fold.within >= 0 ? group_.folds[static_cast<std::size_t>(fold.within)] : fold;
            std::size_t i = 0;
            while (&walks_[i].fold() != &taken) ++i;
            tape_.set_computed(fold.node, walks_[i].finish(fold, state_of(i), tape_.node(fold.node).type));
        }
    }

  private:
    /// Without folds there are as many chunks as threads that pay. Otherwise each output is folded within one chunk
    /// where that can be: chunks are then columns of a tile's width, one or more for each thread, or whole blocks.
    /// What remains is cut into a size that depends on the space alone.
    void cut_into_chunks() {
        by_columns_ = run_ >= least_columns && !walks_.empty() &&
                      std::ranges::all_of(walks_, [&](const FoldWalk& walk) {
                          return walk.folds_rows() && walk.run() == run_;
                      });
        std::int64_t parts = std::clamp<std::int64_t>(count_ * group_.cost / least_work, 1, omp_get_max_threads());
        if (by_columns_) {
            std::int64_t unit = std::lcm(extent_, columns_of_cache_line);
            std::int64_t width = ((run_ + parts - 1) / parts + unit - 1) / unit * unit;
            tile_ = std::min(tile_, width);
            chunks_ = (run_ + tile_ - 1) / tile_;
            return;
        }
        if (walks_.empty()) {
            chunk_ = std::max<std::int64_t>(1, (count_ / parts + tile_ - 1) / tile_) * tile_;
            chunks_ = std::max<std::int64_t>(1, (count_ + chunk_ - 1) / chunk_);
            return;
        }
        std::int64_t least = std::max(least_chunk, (count_ + most_chunks - 1) / most_chunks), unit = 1;
        std::int64_t wanted = least;
        for (const FoldWalk& walk : walks_) {
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

    /// How many states a fold needs: one for each chunk, unless no two chunks have elements of one output.
    std::int64_t states_of(const FoldWalk& walk) const {
        return by_columns_ || chunk_ % walk.block() == 0 ? 1 : chunks_;
    }

    /// What one thread needs: readers and scratch of its own, and the table of where each operand's tile is.
    class Worker {
      public:
        explicit Worker(GroupRun& run)
            : run_(run), operands_(run.first_slot() + static_cast<std::size_t>(run.group_.slots)),
              readers_(run.readers_), folded_(run.walks_.size()) {
            for (BroadcastReader& reader : readers_)
                reader.reserve(run.tile_); // a tile that does not fit would throw in a parallel region
            std::size_t tile_bytes = (static_cast<std::size_t>(run.tile_) * run.element_size_ + 63) / 64 * 64, size = 0;
            std::vector<std::size_t> offsets;
            for (std::size_t operand = run.first_slot(); operand < operands_.size(); ++operand) {
                offsets.push_back(size);
                size += tile_bytes * (run.is_folded(operand) ? static_cast<std::size_t>(run.visit_) : 1);
            }
            scratch_ = allocate_buffer(size);
            for (std::size_t operand = run.first_slot(); operand < operands_.size(); ++operand) {
                operands_[operand] = scratch_.get() + offsets[operand - run.first_slot()];
                if (run.is_folded(operand)) kept_.push_back({operand, operands_[operand]});
            }
        }

        void run(std::int64_t chunk) {
            if (run_.by_columns_) return run_column(chunk * run_.tile_);
            std::int64_t end = std::min(run_.count_, (chunk + 1) * run_.chunk_);
            for (std::int64_t begin = chunk * run_.chunk_; begin < end;) begin += visit_run(begin, end, chunk);
        }

      private:
        /// Consecutive tiles. Returns how many elements they have.
        std::int64_t visit_run(std::int64_t begin, std::int64_t end, std::int64_t chunk) {
            end = std::min(end, begin + run_.visit_ * run_.tile_);
            for (std::int64_t at = begin, count = 0; at < end; at += count) {
                count = std::min(run_.tile_, end - at);
                if (run_.run_ > run_.tile_) count = std::min(count, run_.run_ - at % run_.run_); // stay within a run
                run_tile(at, count, at - begin);
            }
            for (std::size_t i = 0; i < run_.walks_.size(); ++i)
                run_.walks_[i].take(folded_[i], begin, end - begin, run_.group_.space.dtype, run_.state_of(i, chunk));
            return end - begin;
        }

        /// All rows from one column on, as far as a tile goes, a few rows at a time.
        void run_column(std::int64_t column) {
            std::int64_t width = std::min(run_.tile_, run_.run_ - column), rows = 0;
            for (std::int64_t begin = column; begin < run_.count_; begin += rows * run_.run_) {
                rows = std::min(run_.visit_, (run_.count_ - begin + run_.run_ - 1) / run_.run_);
                for (std::int64_t row = 0; row < rows; ++row)
                    run_tile(begin + row * run_.run_, width, row * run_.tile_);
                for (std::size_t i = 0; i < run_.walks_.size(); ++i) {
                    std::size_t operand = static_cast<std::size_t>(run_.walks_[i].fold().operand);
                    std::int64_t distance = operand >= run_.first_slot() ? run_.tile_ : run_.run_;
                    run_.walks_[i].take_rows(folded_[i], {rows, width, distance}, column,
                                             run_.group_.space.dtype, run_.state_of(i));
                }
            }
        }

        /// Runs all steps for one tile, which is at `within` of what is visited.
        void run_tile(std::int64_t begin, std::int64_t count, std::int64_t within) {
            const Group& group = run_.group_;
            std::size_t offset = static_cast<std::size_t>(begin) * run_.element_size_, reader = 0, stored = 0;
            for (std::size_t i = 0; i < group.loads.size(); ++i)
                operands_[i] = const_cast<std::byte*>(
                    group.loads[i].in_place ? run_.loaded_[i] + offset
                                            : static_cast<const std::byte*>(readers_[reader++].read(begin, count)));
            for (const Kept& kept : kept_)
                operands_[kept.operand] = kept.begin + static_cast<std::size_t>(within) * run_.element_size_;
            const void* inputs[most_step_operands];
            for (const GroupStep& step : group.steps) {
                std::byte*& result = operands_[static_cast<std::size_t>(step.result)];
                if (step.store >= 0) result = run_.stored_[stored++].bytes() + offset;
                for (std::size_t i = 0; i < step.operands.size(); ++i)
                    inputs[i] = operands_[static_cast<std::size_t>(step.operands[i])];
                if (step.kernel)
                    step.kernel(inputs, result, static_cast<std::size_t>(count));
                else
                    step.row_kernel(inputs[0], result, static_cast<std::size_t>(count / run_.extent_),
                                    static_cast<std::size_t>(run_.extent_));
            }
            if (within == 0)
                for (std::size_t i = 0; i < folded_.size(); ++i)
                    folded_[i] = operands_[static_cast<std::size_t>(run_.walks_[i].fold().operand)];
        }

        /// Scratch that holds a value for all tiles of a visit, until folds take it in.
        struct Kept {
            std::size_t operand;
            std::byte* begin;
        };

        GroupRun& run_;
        std::vector<std::byte*> operands_;
        std::vector<BroadcastReader> readers_;
        std::shared_ptr<std::byte> scratch_;
        std::vector<Kept> kept_;
        /// Where the operand of each fold begins in what is visited.
        std::vector<const std::byte*> folded_;
    };

    /// Memory for what `step` stores: that of the load that it may overwrite, where only those known of hold it.
    MutableTensor room_for(const GroupStep& step, bool recycles) {
        const Type& type = tape_.node(step.store).type;
        if (recycles && step.overwrites >= 0) {
            const GroupLoad& load = group_.loads[static_cast<std::size_t>(step.overwrites)];
            if (tape_.computed(load.node).is_held_by(load.of_state ? 2 : 1)) {
                Tensor old = tape_.computed(load.node);
                tape_.set_computed(load.node, Tensor()); // lest a failure leave half of it overwritten
                return MutableTensor(type, std::move(old));
            }
        }
        return MutableTensor(type);
    }

    std::size_t first_slot() const { return group_.loads.size() + static_cast<std::size_t>(group_.stores); }

    /// Whether folds read a slot of scratch: it must then be there for the whole visit.
    bool is_folded(std::size_t slot) const {
        return std::ranges::any_of(group_.folds, [&](const GroupFold& fold) {
            return static_cast<std::size_t>(fold.operand) == slot;
        });
    }

    double* state_of(std::size_t walk, std::int64_t chunk = 0) const {
        if (states_of(walks_[walk]) == 1) chunk = 0;
        return reinterpret_cast<double*>(states_[walk].get()) +
               static_cast<std::size_t>(chunk) * walks_[walk].state_size();
    }

    Tape& tape_;
    const Group& group_;
    std::size_t element_size_;
    /// The space, the tiles and chunks it is cut into, and the longest stretch that all loads and folds take as one.
    std::int64_t count_, tile_ = 1, chunk_ = 1, chunks_ = 1, run_ = 1;
    /// The rows of rowwise steps; 1 without any.
    std::int64_t extent_ = 1;
    /// How many tiles folds take in at a time: of as many rows, or else consecutive ones.
    std::int64_t visit_ = 1;
    /// Whether chunks are columns, of a tile's width, of all rows; else they are of consecutive elements.
    bool by_columns_ = false;
    std::vector<const std::byte*> loaded_;
    /// Of the loads that are not in place; workers have copies.
    std::vector<BroadcastReader> readers_;
    std::vector<MutableTensor> stored_;
    std::vector<FoldWalk> walks_;
    std::vector<std::shared_ptr<std::byte>> states_;
};

} // namespace

void run_group(Tape& tape, const Group& group, bool recycles) { GroupRun(tape, group, recycles).run(); }

} // namespace cotape

#include <cotape/core/group_run.hpp>

#include <algorithm>
#include <exception>
#include <optional>

#include <cotape/core/broadcast_reader.hpp>
#include <cotape/core/buffer_pool.hpp>
#include <cotape/core/dispatch.hpp>

namespace cotape {
namespace {

constexpr std::int64_t longest_tile = 1024;
constexpr std::int64_t least_chunk = 32 * 1024;
constexpr std::int64_t most_chunks = 32;
/// Rows that each chunk folds at least, lest joining the folds cost as much as folding.
constexpr std::int64_t least_rows = 64;

/// How the elements of a space go into the outputs of a fold over some of its axes.
class FoldWalk {
  public:
    FoldWalk(const GroupFold& fold, const Shape& space) : fold_(&fold) {
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
    }

    std::size_t state_size() const { return static_cast<std::size_t>(fold_->kernel->planes * outputs_); }
    /// Chunks must begin at multiples of this.
    std::int64_t row() const { return axes_[0].reduced ? 1 : axes_[0].extent; }
    /// How many elements at a time go into one output, or into as many neighbours.
    std::int64_t run() const { return axes_[0].extent; }

    void take(const std::byte* elements, std::int64_t begin, std::int64_t count, Dtype dtype, double* state) const {
        const Axis& inner = axes_[0];
        std::size_t element_size = size_of(dtype);
        while (count > 0) {
            std::int64_t within = begin % inner.extent, outer = begin / inner.extent, output = 0;
            for (std::size_t i = 1; i < axes_.size(); ++i) {
                if (!axes_[i].reduced) output += outer % axes_[i].extent * axes_[i].output_stride;
                outer /= axes_[i].extent;
            }
            std::int64_t length = std::min(count, inner.extent - within);
            if (inner.reduced) {
                fold_->kernel->take_run(elements, dtype, length, state + output, outputs_);
            } else {
                std::int64_t rows = within == 0 && axes_.size() == 2 ? std::max<std::int64_t>(1, count / length) : 1;
                fold_->kernel->take_rows(elements, dtype, rows, length, state + output + within, outputs_);
                length *= rows;
            }
            elements += static_cast<std::size_t>(length) * element_size;
            begin += length;
            count -= length;
        }
    }

    Tensor finish(double* states, std::int64_t chunks, const Type& type) const {
        for (std::int64_t chunk = 1; chunk < chunks; ++chunk)
            fold_->kernel->join(states, states + chunk * static_cast<std::int64_t>(state_size()), outputs_, outputs_);
        fold_->kernel->finish(states, outputs_, outputs_, reduced_count_);
        MutableTensor result(type);
        visit_floating(type.dtype, [&]<class T>(T) {
            std::transform(states, states + outputs_, result.elements<T>().begin(),
                           [](double value) { return static_cast<T>(value); });
        });
        return std::move(result).freeze();
    }

    const GroupFold& fold() const { return *fold_; }

  private:
    struct Axis {
        std::int64_t extent;
        std::int64_t output_stride;
        bool reduced;
    };
    const GroupFold* fold_;
    SmallVector<Axis, 4> axes_; // innermost first
    std::int64_t outputs_ = 1, reduced_count_ = 1;
};

/// One run of a group over its whole space.
class GroupRun {
  public:
    GroupRun(Tape& tape, const Group& group, bool recycles)
        : tape_(tape), group_(group), element_size_(size_of(group.space.dtype)),
          count_(element_count(group.space.shape)) {
        std::int64_t row = 1, run = count_;
        for (const GroupFold& fold : group.folds) {
            walks_.emplace_back(fold, group.space.shape);
            row = std::max(row, walks_.back().row());
            run = std::min(run, walks_.back().run());
        }
        for (const GroupLoad& load : group.loads)
            if (!load.in_place)
                run = std::min(run, BroadcastReader(tape.computed(load.node), group.space.shape).run());
        for (const GroupLoad& load : group.loads) loaded_.push_back(tape.computed(load.node).bytes_begin());
        for (const GroupStep& step : group.steps)
            if (step.store >= 0) stored_.push_back(room_for(step, recycles));
        run_ = std::max<std::int64_t>(1, run);
        if (run_ <= longest_tile)
            tile_ = longest_tile / run_ * run_;
        else
            tile_ = (run_ - 1) / ((run_ + longest_tile - 1) / longest_tile) + 1;
        tile_ = std::max<std::int64_t>(1, std::min(tile_, count_));
        std::int64_t wanted = std::max({least_chunk, (count_ + most_chunks - 1) / most_chunks, least_rows * row});
        row = std::max(row, run_);
        chunk_ = (wanted + row - 1) / row * row;
        chunks_ = std::max<std::int64_t>(1, (count_ + chunk_ - 1) / chunk_);
        for (const FoldWalk& walk : walks_) {
            std::size_t size = walk.state_size() * static_cast<std::size_t>(chunks_);
            states_.push_back(allocate_buffer(size * sizeof(double)));
            std::fill_n(state_of(states_.size() - 1), size, 0.0);
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
        for (std::size_t i = 0; i < walks_.size(); ++i) {
            NodeId node = walks_[i].fold().node;
            tape_.set_computed(node, walks_[i].finish(state_of(i), chunks_, tape_.node(node).type));
        }
    }

  private:
    /// What one thread needs: readers and scratch of its own, and the table of where each operand's tile is.
    class Worker {
      public:
        explicit Worker(GroupRun& run)
            : run_(run), operands_(run.group_.loads.size() + static_cast<std::size_t>(run.group_.stores + run.group_.slots)) {
            const Group& group = run.group_;
            for (const GroupLoad& load : group.loads)
                if (!load.in_place) {
                    readers_.emplace_back(run.tape_.computed(load.node), group.space.shape);
                    readers_.back().reserve(run.tile_); // a tile that does not fit would throw in a parallel region
                }
            std::size_t tile_bytes = (static_cast<std::size_t>(run.tile_) * run.element_size_ + 63) / 64 * 64;
            scratch_ = allocate_buffer(tile_bytes * static_cast<std::size_t>(group.slots));
            for (std::size_t slot = 0; slot < static_cast<std::size_t>(group.slots); ++slot)
                operands_[group.loads.size() + static_cast<std::size_t>(group.stores) + slot] = scratch_.get() + slot * tile_bytes;
        }

        void run(std::int64_t chunk) {
            std::int64_t end = std::min(run_.count_, (chunk + 1) * run_.chunk_);
            for (std::int64_t begin = chunk * run_.chunk_, count = 0; begin < end; begin += count) {
                count = std::min(run_.tile_, end - begin);
                if (run_.run_ > run_.tile_) count = std::min(count, run_.run_ - begin % run_.run_); // stay within a run
                run_tile(begin, count, chunk);
            }
        }

      private:
        void run_tile(std::int64_t begin, std::int64_t count, std::int64_t chunk) {
            const Group& group = run_.group_;
            std::size_t offset = static_cast<std::size_t>(begin) * run_.element_size_, reader = 0, stored = 0;
            for (std::size_t i = 0; i < group.loads.size(); ++i)
                operands_[i] = group.loads[i].in_place
                                   ? const_cast<std::byte*>(run_.loaded_[i]) + offset
                                   : const_cast<std::byte*>(
                                         static_cast<const std::byte*>(readers_[reader++].read(begin, count)));
            const void* inputs[most_step_operands];
            for (const GroupStep& step : group.steps) {
                std::byte*& result = operands_[static_cast<std::size_t>(step.result)];
                if (step.store >= 0) result = run_.stored_[stored++].bytes() + offset;
                for (std::size_t i = 0; i < step.operands.size(); ++i)
                    inputs[i] = operands_[static_cast<std::size_t>(step.operands[i])];
                step.kernel(inputs, result, static_cast<std::size_t>(count));
            }
            for (std::size_t i = 0; i < run_.walks_.size(); ++i) {
                const FoldWalk& walk = run_.walks_[i];
                walk.take(operands_[static_cast<std::size_t>(walk.fold().operand)], begin, count, group.space.dtype,
                          run_.state_of(i) + static_cast<std::size_t>(chunk) * walk.state_size());
            }
        }

        GroupRun& run_;
        std::vector<std::byte*> operands_;
        std::vector<BroadcastReader> readers_;
        std::shared_ptr<std::byte> scratch_;
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

    double* state_of(std::size_t fold) const { return reinterpret_cast<double*>(states_[fold].get()); }

    Tape& tape_;
    const Group& group_;
    std::size_t element_size_;
    /// The space, the tiles and chunks it is cut into, and the longest stretch that all loads and folds take as one.
    std::int64_t count_, tile_ = 1, chunk_ = 1, chunks_ = 1, run_ = 1;
    std::vector<const std::byte*> loaded_;
    std::vector<MutableTensor> stored_;
    std::vector<FoldWalk> walks_;
    std::vector<std::shared_ptr<std::byte>> states_;
};

} // namespace

void run_group(Tape& tape, const Group& group, bool recycles) { GroupRun(tape, group, recycles).run(); }

} // namespace cotape

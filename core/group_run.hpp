#pragma once

#include <memory>
#include <vector>

#include <cotape/core/fusion_plan.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {

/// How a series is cut for one run: into parts of `width` columns, blocks or channels, the last perhaps of fewer. A
/// part of blocks or channels is made of stretches of `unit` of them, which does not depend on the number of threads:
/// folds take in the elements of one after the other, with the same bits wherever parts begin.
struct Parts {
    Cut cut;
    std::int64_t width;
    std::int64_t unit;
    std::int64_t count() const { return (cut.count + width - 1) / width; }
};

/// What a group costs, in additions, and how many threads that is worth.
std::int64_t cost_of(const Group& group);
std::int64_t threads_for(std::int64_t cost);

/// One run of a group: where it reads and writes, and how its space is cut into parts. Memory for its results is on the
/// tape from the start; they are there when workers (see group_worker.hpp) have run all parts, and `join` has. Where it
/// `recycles`, it writes over loads as the plan allows; these are then no longer on the tape.
class GroupRun {
  public:
    /// In a series, the parts are those of all its groups. Alone, where elements of one output are in several parts,
    /// these are of a size that depends on the space alone; each folds on its own, and the folds are joined in order:
    /// results have the same bits for every number of threads.
    GroupRun(Tape& tape, const Group& group, ResultMemory& memory, bool recycles, const Parts* parts = nullptr);

    std::int64_t parts() const { return chunks_; }
    /// What a worker needs for its tiles.
    std::size_t scratch_bytes() const;
    /// Whether outputs of a fold have elements in several parts.
    bool is_joined() const;
    /// The results of such folds: of `shares` shares of the outputs, one.
    void join(std::int64_t share = 0, std::int64_t shares = 1);

  private:
    friend class GroupWorker;

    std::int64_t common_row() const;
    bool folds_channels() const;
    Parts parts_of_channels() const;
    void take_parts(const Parts& parts);
    void cut_into_chunks();
    void size_tiles();
    /// Memory for a result: that of the load that it may overwrite, where only those known of hold it.
    std::byte* room_for(NodeId node, OperandIndex overwrites = -1);

    std::size_t first_slot() const { return group_.loads.size() + static_cast<std::size_t>(group_.stores); }
    std::size_t slots() const { return static_cast<std::size_t>(group_.slots); }
    /// The bytes of a slot of scratch: of a tile, or where folds read it, of all tiles that these take in at a time.
    std::size_t slot_bytes(std::size_t slot) const;
    std::size_t tile_bytes() const { return (static_cast<std::size_t>(tile_) * element_size_ + 63) / 64 * 64; }
    bool is_folded(std::size_t operand) const;

    /// How many states a fold needs: one for each stretch, unless no two stretches have elements of one output.
    std::int64_t states_of(const FoldWalk& walk) const {
        bool is_apart = by_columns_ || has_channels() || stretch_ % walk.block() == 0;
        return is_apart ? 1 : (count_ - 1) / stretch_ + 1;
    }
    bool has_channels() const { return !by_columns_ && row_ < count_; }
    /// Of a fold with one state, the outputs of elements from one position to another within a row.
    FoldWalk::Outputs outputs_of(const FoldWalk& walk, std::int64_t begin, std::int64_t end) const {
        return has_channels() ? FoldWalk::Outputs{begin / walk.run(), end / walk.run()} : walk.outputs_of(begin, end);
    }
    double* state_of(std::size_t walk, std::int64_t stretch = 0) const;
    /// The results of a fold and of those within it (see FoldWalk::finish).
    void finish(std::size_t walk, const double* state, std::int64_t stride, const FoldWalk::Outputs& outputs);
    /// The bytes of the state of some outputs of a fold.
    static std::size_t state_bytes(const FoldWalk& walk, std::int64_t outputs) {
        return (walk.state_size(outputs) * sizeof(double) + 63) / 64 * 64;
    }

    Tape& tape_;
    const Group& group_;
    ResultMemory& memory_;
    std::size_t element_size_;
    /// The space, the tiles and chunks it is cut into, and the longest stretch that all loads and folds take as one.
    std::int64_t count_, tile_ = 1, chunk_ = 1, chunks_ = 1, run_ = 1;
    /// A chunk has `chunk_` consecutive elements of each row: all elements are one, unless they are cut into columns or
    /// channels.
    std::int64_t row_;
    /// What folds take in on its own, in order: a chunk or, of blocks and channels, see Parts; by columns, a stretch of
    /// rows. No tile goes beyond.
    std::int64_t stretch_ = 1;
    /// The rows of rowwise steps; 1 without any.
    std::int64_t extent_ = 1;
    /// How many tiles folds take in at a time.
    std::int64_t visit_ = 1;
    /// Whether chunks are `width_` columns of rows of `run_` elements; else they are of consecutive elements.
    bool by_columns_ = false;
    std::int64_t width_ = 1;
    /// Whether tiles are rows of `run_` elements each: where rows of loads or results lie apart in memory, these need
    /// no copies.
    bool by_rows_ = false;
    /// A load that repeats after so many elements is the same for all tiles of a part or, by columns or rows, for all
    /// their rows.
    std::int64_t repetition_ = 1;
    bool recycles_;
    SmallVector<const std::byte*, 8> loaded_;
    /// Where the values that steps store go, and the results of folds.
    SmallVector<std::byte*, 8> stored_, results_;
    SmallVector<PlacedRows, 4> rows_;
    /// Of all folds, those of each fold for all stretches. Columns are folded in scratch.
    std::shared_ptr<std::byte> states_;
    SmallVector<double*, 8> state_of_walk_;
};

} // namespace cotape

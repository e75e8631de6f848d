#pragma once

#include <vector>

#include <cotape/core/group_run.hpp>

namespace cotape {

/// What one thread needs to run parts of a group: readers and scratch of its own, and the table of where each operand's
/// tile is.
class GroupWorker {
  public:
    /// `scratch` is as large as the run asks for; it is free for others between two parts.
    GroupWorker(GroupRun& run, std::byte* scratch);

    /// Runs a part, and the results of folds that have no elements in others.
    void run(std::int64_t part);

  private:
    void run_elements(std::int64_t chunk);
    void start_stretch(std::int64_t begin, std::int64_t end);
    void run_columns(std::int64_t part);
    /// Runs all steps for a tile of `count` rows, which begins at `begin` of the space and at `within` of what is
    /// visited.
    void run_tile(std::int64_t begin, std::int64_t count, std::int64_t width, std::int64_t within);

    /// An operand that lies in memory in its whole length, from `begin` on.
    struct Operand {
        std::size_t index;
        std::byte* begin;
    };
    struct Reading {
        std::size_t operand;
        BroadcastReader reader;
        std::byte* buffer;
        /// The same for all tiles of a part.
        bool is_fixed;
    };
    /// What a part reads for all its tiles; `begin` is where the first begins, `width` what is read of each row.
    void read_fixed(std::int64_t begin, std::int64_t width);

    GroupRun& run_;
    /// Where the tile of each operand begins, and how far apart its rows are.
    SmallVector<std::byte*, 16> operands_;
    SmallVector<std::int64_t, 16> distances_;
    /// Loads that are in place and values that are stored, by their places in the space; scratch that holds a value for
    /// all tiles of a visit until folds take it in, by their places in the visit.
    SmallVector<Operand, 8> stored_, kept_;
    std::vector<Reading> readings_;
    /// Where the operand of each fold begins in what is visited.
    SmallVector<const std::byte*, 8> folded_;
    /// Of folds of columns, those of the part that runs; behind each there is room for that of a stretch of rows.
    SmallVector<double*, 8> states_;
};

} // namespace cotape

#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

/// Chunks of a space that are folded apart have at least so many elements.
constexpr std::int64_t least_chunk = 32 * 1024;
/// Blocks that share no outputs become chunks where there are so many of them, or where they are small.
constexpr std::int64_t least_blocks = 8;
/// Rows of so many columns are cut into columns.
constexpr std::int64_t least_columns = 512;
constexpr std::int64_t columns_of_cache_line = 16;

/// Of so many rows that all go into the same outputs, how many are folded on their own. These stretches are then joined
/// in order, whether threads share out rows or columns: the result has the same bits.
std::int64_t rows_of_stretch(std::int64_t rows, std::int64_t columns);
/// How many channels of images make a stretch, of which elements are folded at a time.
std::int64_t channels_of_stretch(std::int64_t channels, std::int64_t pixels);

/// An operand of a step within a group: a value read from memory, or one that an earlier step left.
using OperandIndex = std::int32_t;

/// A reduction at the end of a group.
struct GroupFold {
    const FoldKernel* kernel;
    OperandIndex operand;
    NodeId node;
    Shape axes;
    /// Which of the group's walks tells how elements go into outputs, and whether that is another fold's, whose state
    /// holds this one's result as well.
    std::int32_t walk = 0;
    bool is_within = false;
};

/// How the elements of a space go into the outputs of a fold over some of its axes.
class FoldWalk {
  public:
    FoldWalk(const GroupFold& fold, const Shape& space);

    OperandIndex operand() const { return operand_; }
    /// How many numbers the state of so many outputs has.
    std::size_t state_size(std::int64_t outputs) const { return static_cast<std::size_t>(kernel_->planes * outputs); }
    std::int64_t outputs() const { return outputs_; }
    /// How many consecutive elements at a time go into one output, or into as many neighbours.
    std::int64_t run() const { return axes_[0].extent; }
    /// Whether a run goes into neighbouring outputs, and so does each that follows it in the space into the same ones.
    bool folds_rows() const { return !axes_[0].reduced && axes_.size() <= 2; }
    bool run_is_reduced() const { return axes_[0].reduced; }
    /// Whether runs go into the outputs in turn, again and again, as the pixels of images go into channels, and there
    /// are so many channels and pixels that threads share out channels.
    bool folds_channels() const;
    /// How many consecutive elements at a time share no output with any others: all, where the outermost axis is
    /// reduced.
    std::int64_t block() const { return block_; }
    /// Whether a group that runs alone folds the elements of each output in the order in which a series does.
    bool folds_within_chunks() const;

    /// Makes the state of so many outputs ready, whose planes are `stride` apart.
    void start(double* state, std::int64_t outputs, std::int64_t stride) const;
    /// Takes in `count` elements of the space from row-major position `begin` on, into the state of all outputs.
    void take(const std::byte* elements, std::int64_t begin, std::int64_t count, Dtype dtype, double* state) const;
    /// Where it folds rows: takes in parts of rows, into the state of as many outputs.
    void take_rows(const std::byte* elements, const FoldRows& rows, Dtype dtype, double* state) const;

    struct Outputs {
        std::int64_t begin, end;
    };
    /// Joins so many states, each of `outputs`, into the first, for some of the outputs.
    void join(double* states, std::int64_t count, std::int64_t outputs, const Outputs& joined) const;
    /// The outputs of elements from one position to another, both of them ends of blocks.
    Outputs outputs_of(std::int64_t begin, std::int64_t end) const;
    /// Writes these elements of the results of `fold`, one that goes this way, from a state that begins with
    /// the first of them and is of `stride` outputs.
    void finish(const GroupFold& fold, const double* state, std::int64_t stride, const Outputs& outputs, Dtype dtype,
                std::byte* results) const;

  private:
    struct Axis {
        std::int64_t extent;
        std::int64_t output_stride;
        bool reduced;
    };
    const FoldKernel* kernel_;
    OperandIndex operand_;
    SmallVector<Axis, 4> axes_; // innermost first
    std::int64_t outputs_ = 1, reduced_count_ = 1, block_ = 1, count_ = 1;
};

} // namespace cotape

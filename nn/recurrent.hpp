#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <cotape/nn/recurrent_cell.hpp>

namespace cotape::nn {

/// What every recurrent net can be told.
struct RecurrentOptions {
    /// How many cells stand on top of each other: the outputs of one are the inputs of the next.
    std::int64_t layers = 1;
    bool bias = true;
    /// Whether a call gives the last step's output alone, [examples, hidden], as a classifier of whole sequences wants
    /// it.
    bool last_step = false;
};

/// What a recurrent net is given besides its input.
struct UnrollOptions {
    /// Zeros unless given.
    RecurrentState initial = {};
    /// For sequences of unequal length, padded to the longest: [steps, examples], 1 where a sequence has a step and 0
    /// where it is padded. There the state stands still and the outputs are 0. See padding_mask.
    Tensor mask = {};
};

/// The outputs of the last layer at all steps, [steps, examples, hidden], and the state after each sequence's last
/// step, [layers, examples, hidden].
struct UnrollResult {
    Var outputs;
    RecurrentState state;
};

/// A recurrent net over x [steps, examples, inputs]: cells on top of each other, each unrolled over all steps. The
/// product of all steps' inputs with a layer's weights is one matrix product. Parameters have PyTorch's names
/// ("weight_ih_l0") and layout. Throws ShapeError, naming itself, for another rank or number of inputs, for no steps,
/// and for a state or mask of another shape; ValueError for a mask with elements other than 0 and 1.
class Recurrent : public Module {
  public:
    /// Unrolls the net over x. A call gives the same outputs, from a zero state and without a mask.
    UnrollResult unroll(Var x, const UnrollOptions& options = {}, Where where = Where::current());

    std::size_t layers() const { return cells_.size(); }
    RecurrentCell& operator[](std::size_t layer) { return *cells_[layer]; }
    /// Puts a cell in the place of the one of `layer`, which it returns. Throws ShapeError where they differ in their
    /// inputs or hidden units, ValueError for a layer that is not there, for no cell, and where they differ in their
    /// number of gates or only one of them keeps a cell state.
    std::unique_ptr<RecurrentCell> replace(std::size_t layer, std::unique_ptr<RecurrentCell> cell);

    void visit(Visitor& visitor) override;
    std::string describe() const override;

  protected:
    /// `name` is the net's, as messages print it. Throws ValueError for less than one layer.
    Recurrent(std::string name, std::int64_t layers, bool last_step);

    /// Fills the net with cells: `make` is given the number of inputs of each layer.
    template <class Make>
    void add_cells(std::int64_t inputs, std::int64_t layers, Make make) {
        for (std::int64_t layer = 0; layer < layers; ++layer) {
            cells_.push_back(make(inputs));
            inputs = cells_.back()->hidden();
        }
    }

    Var forward(Var x) override;

  private:
    Unrolled unroll_layers(Var x, const RecurrentState& initial, const Steps& steps);
    void require_input(const Shape& x, const UnrollOptions& options) const;

    std::string name_;
    bool last_step_;
    std::vector<std::unique_ptr<RecurrentCell>> cells_;
};

/// The mask, [steps, lengths.size()], of sequences of these lengths. Throws ValueError for a length outside 0 to
/// `steps`.
Tensor padding_mask(const std::vector<std::int64_t>& lengths, std::int64_t steps);

} // namespace cotape::nn

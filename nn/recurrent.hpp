#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <cotape/nn/dropout.hpp>
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
    /// How much of the outputs of each layer but the last is dropped in training: see Dropout.
    double dropout = 0;
    /// Whether each layer has a second cell, which reads the sequence from its last step to its first. The outputs of
    /// both lie side by side, so that there are 2 hidden of them.
    bool bidirectional = false;
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
/// step, [layers, examples, hidden]. In a bidirectional net there are 2 hidden outputs, and 2 layers of states: after
/// those of a layer the ones from its end to its first step.
struct UnrollResult {
    Var outputs;
    RecurrentState state;
};

/// A recurrent net over x [steps, examples, inputs]: cells on top of each other, each unrolled over all steps. The
/// product of all steps' inputs with a layer's weights is one matrix product. Parameters have PyTorch's names
/// ("weight_ih_l0", "weight_ih_l0_reverse") and layout. Throws ShapeError, naming itself, for another rank or number of
/// inputs, for no steps, and for a state or mask of another shape; ValueError for a mask with elements other than 0 and
/// 1.
class Recurrent : public Module {
  public:
    /// Unrolls the net over x. A call gives the same outputs, from a zero state and without a mask.
    UnrollResult unroll(Var x, const UnrollOptions& options = {}, Where where = Where::current());

    /// How many cells there are: one a layer, or, layer by layer, the forward one and the one that reads from the end.
    std::size_t cells() const { return cells_.size(); }
    RecurrentCell& operator[](std::size_t index) { return *cells_[index]; }
    /// Puts a cell in the place of the one at `index`, which it returns. Throws ShapeError where they differ in their
    /// inputs or hidden units, ValueError for an index out of range, for no cell, and where they differ in their number
    /// of gates or only one of them keeps a cell state.
    std::unique_ptr<RecurrentCell> replace(std::size_t index, std::unique_ptr<RecurrentCell> cell);

    void visit(Visitor& visitor) override;
    std::string describe() const override;

  protected:
    /// `name` is the net's, as messages print it. Throws ValueError for less than one layer, and for a dropout outside
    /// [0, 1].
    Recurrent(std::string name, const RecurrentOptions& options, std::mt19937& random);

    /// What the options of another net share with RecurrentOptions.
    template <class Options>
    static RecurrentOptions common(const Options& options) {
        return {.layers = options.layers,
                .last_step = options.last_step,
                .dropout = options.dropout,
                .bidirectional = options.bidirectional};
    }

    /// Fills the net with cells: `make` is given the number of inputs of each layer.
    template <class Make>
    void add_cells(std::int64_t inputs, std::int64_t layers, Make make) {
        for (std::int64_t layer = 0; layer < layers; ++layer) {
            for (std::size_t direction = 0; direction < directions_; ++direction) cells_.push_back(make(inputs));
            inputs = cells_.back()->hidden() * static_cast<std::int64_t>(directions_);
        }
    }

    Var forward(Var x) override;

  private:
    /// The hidden states of the last layer, in each direction, and the state of all.
    struct Layers {
        std::vector<std::vector<Var>> h;
        RecurrentState last;
    };
    /// The steps as each direction takes them.
    std::vector<Steps> steps_of(Var x, const UnrollOptions& options) const;
    Layers unroll_layers(Var x, const RecurrentState& initial, const std::vector<Steps>& steps);
    void require_input(const Shape& x, const UnrollOptions& options) const;

    std::string name_;
    bool last_step_;
    std::size_t directions_;
    std::optional<Dropout> dropout_;
    std::vector<std::unique_ptr<RecurrentCell>> cells_;
};

/// The mask, [steps, lengths.size()], of sequences of these lengths. Throws ValueError for a length outside 0 to
/// `steps`.
Tensor padding_mask(const std::vector<std::int64_t>& lengths, std::int64_t steps);

} // namespace cotape::nn

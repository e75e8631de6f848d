#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <cotape/core/tape.hpp>
#include <cotape/ops/gradient_check.hpp>
#include <cotape/ops/recorded_values.hpp>

namespace cotape {

/// The numbers that check_gradients compares: phi_1 = sum(w * function(x)) and phi_{k+1} = sum(v_k * gradient of
/// phi_k), for random w and v_k, at the inputs and at points around them.
class Projections {
  public:
    Projections(const CheckedFunction& function, const std::vector<Tensor>& inputs, std::uint64_t seed);

    /// What keeps the function from being checked at all, if anything. Comes first: it draws w.
    std::optional<Hindrance> hindrance(const std::vector<std::string>& input_names = {});

    /// How many elements the function gives; and `w` becomes 1 at one of them, 0 elsewhere.
    std::int64_t output_size() const { return weights_.size(); }
    void select_output(std::int64_t element);

    /// phi_k at the inputs, and its gradient.
    struct Point {
        double value = 0;
        /// The sum of the absolute terms of phi_k.
        double scale = 0;
        std::vector<Tensor> gradient;
        /// The size of the value's rounding error.
        double rounding = 0;
    };
    Point derivatives(int order) const;
    /// Whether phi_k and its gradient are still what they were at `point`, to the bit.
    bool repeats(int order, const Point& point) const;
    static constexpr const char* not_deterministic =
        "the function gives another output when it is called again: it is not deterministic";

    /// phi_k with elements [begin, end) of one input moved along the input's random direction, or a single element
    /// moved, by `share` of the size of each; what its slope at 0 should be by `point`; and the largest slope of a
    /// single element.
    double moved(int order, std::size_t input, std::int64_t begin, std::int64_t end, double share) const;
    double slope(const Point& point, std::size_t input, std::int64_t begin, std::int64_t end) const;
    double largest_slope(const Point& point, std::size_t input) const;
    /// As `slope`, with every input moved along its direction by `share` of the size of each element.
    double moved_slope(int order, std::size_t input, std::int64_t begin, std::int64_t end, double share) const;
    /// phi_k with every input moved along its direction by `share` of the size of each element.
    double moved_all(int order, double share) const;

    /// phi_{order + 1} by derivatives nested as `mode` says, and the sum of the absolute terms of the last product.
    /// With `only`, the last tangent is that input's alone; with `share`, every input is moved as by moved_all.
    struct Nested {
        double value, scale;
    };
    Nested nested(DerivativeMode mode, int order, std::optional<std::size_t> only = {}, double share = 0) const;
    /// The first order - 1 of those derivatives, with the inputs moved by `distance` along their last tangents: its
    /// slope at 0 is what `nested` should be.
    double moved_nested(DerivativeMode mode, int order, std::optional<std::size_t> only, double distance) const;

    /// phi_k and its gradient's product with each v_k, at a random point beside the inputs, `share` further along.
    struct Beside {
        double value = 0;
        std::vector<double> slopes;
    };
    Beside derivatives_beside(int order, double share = 0) const;
    /// phi_k as the inputs, or `only` one of them, move by `distance` along v_k from there.
    double moved_beside(int order, std::optional<std::size_t> only, double distance) const;

    /// Whether numbers on the way to the gradient of phi_k are at the ends of the range of float64.
    bool strains_range(int order) const;

    /// phi_k on the tape, recorded anew at `point`.
    struct Recording {
        std::vector<Var> inputs;
        Var output;
        Var phi;
    };
    /// At the inputs, for a look at the nodes; the next recording ends it.
    Recording record(int order) const { return record_at(inputs_, order); }
    /// As `record`, with every input moved as by moved_all.
    Recording record_moved(int order, double share) const { return record_at(moved_inputs(share), order); }
    const Tensor& weights() const { return weights_; }

    /// New random directions: between 0.5 and 1.5 times an element's size, of either sign.
    void draw_directions();

    std::int64_t size(std::size_t input) const { return inputs_[input].size(); }
    /// How far a step of 1 moves an element: the largest element's absolute value, to a power of two, 1 where all are
    /// 0; or the element's own.
    double element_size(std::size_t input, std::int64_t element) const {
        return sizes_[input][static_cast<std::size_t>(element)];
    }
    /// Whether elements of one input are so different that steps for the largest may step over what the function does
    /// at the smallest; and sets each element's size to its own absolute value, where that is not 0.
    bool has_small_elements() const;
    void move_elements_by_their_own_scales();
    /// The size of the tangents v_k, as the largest share of their input's scale: 1, but where the scale is so small or
    /// so large that products of tangents would leave the range of float64.
    double tangent_share() const;

  private:
    Recording record_at(const std::vector<Tensor>& point, int order) const;
    /// How far element `element` moves in a step of 1 of `moving` elements together.
    double displacement(std::size_t input, std::int64_t element, std::int64_t moving) const;
    Tensor moved_tensor(std::size_t input, std::int64_t begin, std::int64_t end, double share) const;
    std::vector<Tensor> moved_inputs(double share) const;
    Recording record_function(const std::vector<Tensor>& point) const;
    /// The value after `levels` of the `order` derivatives that `mode` nests: a scalar once one of them is in reverse.
    Var nest(const Recording& recording, DerivativeMode mode, int order, int levels,
             std::optional<std::size_t> only) const;
    /// The last tangents: of one input alone where `only` is given.
    Tensor tangent(int level, std::size_t input, std::optional<std::size_t> only) const;
    void draw_tangents();
    double uniform();
    double signed_uniform() { return random_() & 1 ? 0.5 + uniform() : -0.5 - uniform(); }

    CheckedFunction function_;
    std::vector<Tensor> inputs_;
    std::mt19937_64 random_;
    std::vector<double> scales_;
    std::vector<std::vector<double>> sizes_, directions_;
    /// For each order, the v of each input.
    std::vector<std::vector<Tensor>> tangents_;
    Tensor weights_;
    mutable Tape tape_;
};

} // namespace cotape

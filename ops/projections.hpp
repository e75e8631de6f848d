#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <cotape/core/tape.hpp>
#include <cotape/ops/gradient_check.hpp>

namespace cotape {

/// The numbers that check_gradients compares: phi_1 = sum(w * function(x)) and phi_{k+1} = sum(v_k * gradient of phi_k),
/// for random w and v_k, at the inputs and at points around them.
class Projections {
  public:
    Projections(const CheckedFunction& function, const std::vector<Tensor>& inputs, std::uint64_t seed);

    /// What keeps the function from being checked at all, if anything.
    std::optional<std::string> obstacle();

    /// phi_k at the inputs, and its gradient.
    struct Point {
        double value = 0;
        /// The sum of the absolute terms of phi_k.
        double scale = 0;
        std::vector<Tensor> gradient;

        double largest_gradient(std::size_t input) const;
        double along(std::size_t input, const std::vector<double>& direction, std::int64_t begin, std::int64_t end) const;
    };
    Point derivatives(int order) const;

    /// phi_k with elements [begin, end) of one input moved by `distance` along the input's direction.
    double moved(int order, std::size_t input, std::int64_t begin, std::int64_t end, double distance) const;
    /// phi_k with every input moved along its direction by `share` of its scale.
    double moved_all(int order, double share) const;

    /// The k-th nested jvp of the function, projected on w, and the same number from reverse mode: phi_{k+1}. With
    /// `only`, the last tangent is that input's alone.
    struct Forward {
        double got, expected, scale;
    };
    Forward forward(int order, std::optional<std::size_t> only) const;

    /// Random signs, one for each element of an input.
    const std::vector<double>& direction(std::size_t input) const { return directions_[input]; }
    void draw_directions();

    std::int64_t size(std::size_t input) const { return inputs_[input].size(); }
    /// The largest element's absolute value; 1 where all are 0.
    double scale(std::size_t input) const { return scales_[input]; }

  private:
    /// The phis up to `order` on the tape, recorded anew at `point`; `phis[k - 1]` is phi_k.
    struct Recording {
        std::vector<Var> inputs;
        Var output;
        std::vector<Var> phis;
    };
    Recording record_at(const std::vector<Tensor>& point, int order) const;
    double uniform();
    double sign() { return random_() & 1 ? 1 : -1; }

    CheckedFunction function_;
    std::vector<Tensor> inputs_;
    std::mt19937_64 random_;
    std::vector<double> scales_;
    std::vector<std::vector<double>> directions_;
    /// For each order, the v of each input.
    std::vector<std::vector<Tensor>> tangents_;
    Tensor weights_;
    mutable Tape tape_;
};


} // namespace cotape

#pragma once

#include <cotape/core/tape.hpp>
#include <cotape/nn/module.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/reductions.hpp>

namespace cotape::testing {

/// Three float64 parameters p with the loss sum(c (p - t)^2), whose gradient is 2 c (p - t).
class Quadratic : public nn::Module {
  public:
    static constexpr double start[] = {1, -2, 0.5}, curvature[] = {1, 0.1, 3}, target[] = {0, 1, 0.25};

    void visit(nn::Visitor& visitor) override { visitor("p", p_); }
    std::string describe() const override { return "Quadratic"; }
    const Tensor& value() const { return p_.value(); }

    Var loss(Tape& tape) { return (*this)(tape.variable(p_)); }

  protected:
    Var forward(Var p) override {
        Var c = p.tape().constant(Tensor::of<double>({3}, curvature)),
            t = p.tape().constant(Tensor::of<double>({3}, target));
        return sum(c * square(p - t));
    }

  private:
    nn::Parameter p_{Tensor::of<double>({3}, start)};
};

} // namespace cotape::testing

#pragma once

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// Merges the axes from `start` to `end`, both included and counted from the end where negative: all but the batch
/// unless told otherwise. Throws ShapeError where x has no such axes.
class Flatten : public Module {
  public:
    explicit Flatten(std::int64_t start = 1, std::int64_t end = -1) : start_(start), end_(end) {}

    std::string describe() const override;

  protected:
    Var forward(Var x) override;

  private:
    std::int64_t start_, end_;
};

/// Splits `axis` into axes of the extents `sizes`, of which one may be -1: pixels in a row into an image, say. Throws
/// ShapeError where they do not make up the axis.
class Unflatten : public Module {
  public:
    Unflatten(std::int64_t axis, const Shape& sizes) : axis_(axis), sizes_(sizes) {}

    std::string describe() const override;

  protected:
    Var forward(Var x) override;

  private:
    std::int64_t axis_;
    Shape sizes_;
};

} // namespace cotape::nn

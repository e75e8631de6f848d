#pragma once

#include <cstdint>

#include <cotape/data/mnist.hpp>

namespace cotape::data {

/// Digits as if written by hand, in the form of MNIST, for where MNIST is not at hand. Each is drawn with one of a few
/// styles, bent, sheared, turned, scaled, moved, and with a pen of its own width. A linear classifier gets about
/// nine in ten right, a small network nearly all.
///
/// A seed gives the same digits everywhere, and a larger count continues a smaller one. Throws ValueError for a
/// negative count.
Mnist digits(std::int64_t train_count, std::int64_t test_count, std::uint64_t seed);

} // namespace cotape::data

#pragma once

#include <span>

#include <cotape/core/op.hpp>

namespace cotape {

/// What a chain does next with the value it has and the next input, b.
enum class Link : std::uint8_t {
    add,
    multiply,
    subtract,
    subtract_from, ///< b - value
};

constexpr std::size_t longest_chain = 3;

/// The loop that takes the first input through 2 or 3 links, with an input more for each: as one op after the other,
/// but what is between them stays in registers.
TileKernel chain_kernel(Dtype dtype, std::span<const Link> links);

} // namespace cotape

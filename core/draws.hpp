#pragma once

#include <cstdint>
#include <random>

namespace cotape {

// Random draws that depend on a generator's raw output alone and use no function of the maths library, so that a seed
// means the same everywhere: the distributions of std:: differ between standard libraries.

inline std::uint64_t draw_bits(std::mt19937_64& random) { return random(); }
inline std::uint64_t draw_bits(std::mt19937& random) {
    std::uint64_t high = random();
    return high << 32 | random();
}

/// An integer from 0 to bound - 1, all equally likely; `bound` is positive.
template <class Generator>
std::uint64_t draw_below(Generator& random, std::uint64_t bound) {
    std::uint64_t incomplete = (0 - bound) % bound; // 2^64 modulo bound: as many of the draws are one too many
    std::uint64_t bits = draw_bits(random);
    while (bits < incomplete) bits = draw_bits(random);
    return bits % bound;
}

/// Uniform in [low, high).
template <class Generator>
double draw_uniform(Generator& random, double low, double high) {
    return low + (high - low) * (static_cast<double>(draw_bits(random) >> 11) * 0x1p-53);
}

/// Nearly normal, with mean 0, variance 1 and no value beyond 6: the sum of twelve uniform draws of 16 bits.
template <class Generator>
double draw_normal(Generator& random) {
    std::uint64_t sum = 0;
    for (int i = 0; i < 3; ++i)
        for (std::uint64_t bits = draw_bits(random), lane = 0; lane < 4; ++lane, bits >>= 16) sum += bits & 0xffff;
    return (static_cast<double>(sum) - 6 * 65535.0) / 65536;
}

} // namespace cotape

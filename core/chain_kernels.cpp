#include <cotape/core/chain_kernels.hpp>

#include <array>
#include <utility>

#include <cotape/core/cpu.hpp>
#include <cotape/core/dispatch.hpp>

namespace cotape {
namespace {

constexpr std::size_t link_kinds = 4;

template <Link link, class T>
[[gnu::always_inline]] inline T apply(T value, T b) {
    if constexpr (link == Link::add) return value + b;
    if constexpr (link == Link::multiply) return value * b;
    if constexpr (link == Link::subtract) return value - b;
    if constexpr (link == Link::subtract_from) return b - value;
}

template <class T, Link... links, std::size_t... I>
[[gnu::always_inline]] inline void run_links(const void* const* inputs, void* output, const Tile& tile,
                                             std::index_sequence<I...>) {
    for (std::size_t row = 0; row < tile.rows; ++row) {
        const T *first = start_of_row<const T>(inputs[0], tile, row, 0),
                *others[] = {start_of_row<const T>(inputs[I + 1], tile, row, I + 1)...};
        T* out = start_of_row<T>(output, tile, row, sizeof...(I) + 1);
#pragma GCC ivdep // an input may lie where the output does, element on element
        for (std::size_t i = 0; i < tile.columns; ++i) {
            T value = first[i];
            ((value = apply<links>(value, others[I][i])), ...);
            out[i] = value;
        }
    }
}

template <class T, Link... links>
void run_chain(const void* const* inputs, void* output, const Tile& tile) {
    run_vectorized([&]() __attribute__((always_inline)) {
        run_links<T, links...>(inputs, output, tile, std::make_index_sequence<sizeof...(links)>());
    });
}

constexpr Link link_at(std::size_t code, std::size_t digit) {
    for (; digit > 0; --digit) code /= link_kinds;
    return static_cast<Link>(code % link_kinds);
}

/// The kernels of all chains, whose links are the digits of their places in the tables.
template <class T, std::size_t... codes>
constexpr auto kernels_of_two(std::index_sequence<codes...>) {
    return std::array<TileKernel, sizeof...(codes)>{run_chain<T, link_at(codes, 0), link_at(codes, 1)>...};
}
template <class T, std::size_t... codes>
constexpr auto kernels_of_three(std::index_sequence<codes...>) {
    return std::array<TileKernel, sizeof...(codes)>{
        run_chain<T, link_at(codes, 0), link_at(codes, 1), link_at(codes, 2)>...};
}

} // namespace

TileKernel chain_kernel(Dtype dtype, std::span<const Link> links) {
    std::size_t code = 0;
    for (std::size_t i = links.size(); i-- > 0;) code = code * link_kinds + static_cast<std::size_t>(links[i]);
    TileKernel kernel = nullptr;
    visit_floating(dtype, [&]<class T>(T) {
        static constexpr auto two = kernels_of_two<T>(std::make_index_sequence<link_kinds * link_kinds>());
        static constexpr auto three =
            kernels_of_three<T>(std::make_index_sequence<link_kinds * link_kinds * link_kinds>());
        kernel = links.size() == 2 ? two[code] : three[code];
    });
    return kernel;
}

} // namespace cotape

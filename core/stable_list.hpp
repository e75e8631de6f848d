#pragma once

#include <bit>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include <cotape/core/buffer_pool.hpp>

namespace cotape {

/// A sequence that grows and shrinks at its end without moving what is there, so that references to elements stay good.
/// Its blocks double in size, and come from the buffer pool: a tape for each training step costs no fresh memory.
template <class T>
class StableList {
  public:
    StableList() = default;
    ~StableList() { truncate(0); }
    StableList(const StableList&) = delete;
    StableList& operator=(const StableList&) = delete;

    std::size_t size() const { return size_; }
    T& operator[](std::size_t i) {
        std::size_t block = block_of(i);
        return begin_of(block)[i - first_of(block)];
    }
    const T& operator[](std::size_t i) const { return const_cast<StableList&>(*this)[i]; }

    /// Appends an element made of `parts` and returns it.
    template <class... Parts>
    T& append(Parts&&... parts) {
        std::size_t block = block_of(size_);
        if (block == blocks_.size()) blocks_.push_back(allocate_buffer(sizeof(T) * (first_block << block)));
        T* element = new (begin_of(block) + (size_ - first_of(block))) T{std::forward<Parts>(parts)...};
        ++size_;
        return *element;
    }
    /// Destroys the elements from `size` on; their memory is kept for later ones.
    void truncate(std::size_t size) {
        while (size_ > size) (*this)[--size_].~T();
    }

  private:
    static constexpr std::size_t first_block = 32;
    static std::size_t block_of(std::size_t i) {
        return static_cast<std::size_t>(std::bit_width(i / first_block + 1)) - 1;
    }
    static std::size_t first_of(std::size_t block) { return ((std::size_t(1) << block) - 1) * first_block; }
    T* begin_of(std::size_t block) { return std::launder(reinterpret_cast<T*>(blocks_[block].get())); }

    std::vector<std::shared_ptr<std::byte>> blocks_;
    std::size_t size_ = 0;
};

} // namespace cotape

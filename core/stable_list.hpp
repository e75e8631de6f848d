#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include <cotape/core/buffer_pool.hpp>

namespace cotape {

/// A sequence that grows and shrinks at its end without moving what is there, so that references to elements stay good.
/// Its blocks come from the buffer pool: a tape for each training step costs no fresh memory.
template <class T>
class StableList {
  public:
    StableList() = default;
    ~StableList() { truncate(0); }
    StableList(const StableList&) = delete;
    StableList& operator=(const StableList&) = delete;

    std::size_t size() const { return size_; }
    T& operator[](std::size_t i) { return *std::launder(place_of(i)); }
    const T& operator[](std::size_t i) const { return const_cast<StableList&>(*this)[i]; }

    /// Appends an element made of `parts` and returns it.
    template <class... Parts>
    T& append(Parts&&... parts) {
        if (size_ == block_size * blocks_.size()) blocks_.push_back(allocate_buffer(sizeof(T) * block_size));
        T* element = new (place_of(size_)) T{std::forward<Parts>(parts)...};
        ++size_;
        return *element;
    }
    /// Destroys the elements from `size` on; their memory is kept for later ones.
    void truncate(std::size_t size) {
        while (size_ > size) (*this)[--size_].~T();
    }

  private:
    static constexpr std::size_t block_size = 32;
    T* place_of(std::size_t i) const { return reinterpret_cast<T*>(blocks_[i / block_size].get()) + i % block_size; }

    std::vector<std::shared_ptr<std::byte>> blocks_;
    std::size_t size_ = 0;
};

} // namespace cotape

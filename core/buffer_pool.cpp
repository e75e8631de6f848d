#include <cotape/core/buffer_pool.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <new>
#include <vector>

namespace cotape {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t parts = 32;

/// Buffers come in 32 sizes an octave, so that at most a 32nd of one is wasted.
struct SizeClass {
    std::size_t index;
    std::size_t bytes;
};

SizeClass size_class(std::size_t bytes) {
    bytes = std::max(bytes, alignment);
    std::size_t octave = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;
    std::size_t part = (std::size_t(1) << octave) / parts;
    std::size_t count = (bytes - (std::size_t(1) << octave) + part - 1) / part;
    std::size_t rounded = (std::size_t(1) << octave) + count * part;
    return {parts * octave + count, (rounded + alignment - 1) / alignment * alignment};
}

class Pool {
  public:
    std::byte* take(SizeClass size) {
        {
            std::lock_guard lock(mutex_);
            std::vector<std::byte*>& kept = kept_[size.index];
            if (!kept.empty()) {
                std::byte* buffer = kept.back();
                kept.pop_back();
                usage_.kept -= size.bytes;
                count_taken(size.bytes);
                return buffer;
            }
        }
        void* buffer = ::operator new(size.bytes, std::align_val_t(alignment), std::nothrow);
        if (!buffer) { // what is kept for other sizes may be what is missing
            trim();
            buffer = ::operator new(size.bytes, std::align_val_t(alignment));
        }
        std::lock_guard lock(mutex_);
        count_taken(size.bytes);
        return static_cast<std::byte*>(buffer);
    }

    void give_back(std::byte* buffer, SizeClass size) noexcept {
        std::lock_guard lock(mutex_);
        usage_.in_use -= size.bytes;
        try {
            kept_[size.index].push_back(buffer);
            usage_.kept += size.bytes;
        } catch (...) {
            ::operator delete(buffer, std::align_val_t(alignment));
        }
    }

    BufferPoolUsage usage() {
        std::lock_guard lock(mutex_);
        return usage_;
    }

    void reset_peak() {
        std::lock_guard lock(mutex_);
        usage_.peak_in_use = usage_.in_use;
    }

    void trim() {
        std::lock_guard lock(mutex_);
        for (std::vector<std::byte*>& kept : kept_) {
            for (std::byte* buffer : kept) ::operator delete(buffer, std::align_val_t(alignment));
            kept.clear();
        }
        usage_.kept = 0;
    }

  private:
    void count_taken(std::size_t bytes) {
        usage_.in_use += bytes;
        usage_.peak_in_use = std::max(usage_.peak_in_use, usage_.in_use);
    }

    std::mutex mutex_;
    std::array<std::vector<std::byte*>, parts * 64 + parts> kept_;
    BufferPoolUsage usage_;
};

/// Never destroyed: tensors with static storage may give their buffers back after main.
Pool& pool() {
    static Pool& instance = *new Pool;
    return instance;
}

} // namespace

std::shared_ptr<std::byte> allocate_buffer(std::size_t bytes) {
    SizeClass size = size_class(bytes);
    return {pool().take(size), [size](std::byte* buffer) { pool().give_back(buffer, size); }};
}

std::size_t buffer_size(std::size_t bytes) { return size_class(bytes).bytes; }
BufferPoolUsage buffer_pool_usage() { return pool().usage(); }
void reset_buffer_pool_peak() { pool().reset_peak(); }
void trim_buffer_pool() { pool().trim(); }

} // namespace cotape

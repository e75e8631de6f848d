#pragma once

#include <cstddef>
#include <memory>

namespace cotape {

/// A buffer of at least `bytes` bytes, aligned to 64, recycled when its last owner lets go: allocating a fresh 2 MB
/// result costs four times the addition that fills it, because the system hands out untouched pages. Thread-safe.
std::shared_ptr<std::byte> allocate_buffer(std::size_t bytes);

/// How many bytes the buffer has that allocate_buffer(bytes) gives.
std::size_t buffer_size(std::size_t bytes);

/// Bytes that are handed out now, and bytes kept for reuse.
struct BufferPoolUsage {
    std::size_t in_use = 0;
    std::size_t peak_in_use = 0;
    std::size_t kept = 0;
};
BufferPoolUsage buffer_pool_usage();

/// Sets the peak back to what is in use now.
void reset_buffer_pool_peak();

/// Returns the kept buffers to the system.
void trim_buffer_pool();

} // namespace cotape

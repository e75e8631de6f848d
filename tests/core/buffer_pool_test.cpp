#include <cotape/core/buffer_pool.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("buffers are aligned to 64 bytes and at least as large as asked for") {
        for (std::size_t bytes : {0u, 1u, 63u, 64u, 65u, 100u, 1000u, 4097u, 1000000u}) {
            std::size_t before = buffer_pool_usage().in_use;
            std::shared_ptr<std::byte> buffer = allocate_buffer(bytes);
            CHECK(reinterpret_cast<std::uintptr_t>(buffer.get()) % 64 == 0);
            std::memset(buffer.get(), 1, bytes);
            std::size_t taken = buffer_pool_usage().in_use - before;
            CHECK(taken >= bytes);
            CHECK(taken <= bytes + bytes / 32 + 64);
        }
    }

    TEST_CASE("a buffer that its last owner lets go is handed out again") {
        std::shared_ptr<std::byte> buffer = allocate_buffer(12345), second_owner = buffer;
        std::byte* address = buffer.get();
        BufferPoolUsage held = buffer_pool_usage();
        buffer.reset();
        CHECK(buffer_pool_usage().in_use == held.in_use);
        second_owner.reset();
        BufferPoolUsage released = buffer_pool_usage();
        CHECK(released.in_use < held.in_use);
        CHECK(released.kept - held.kept == held.in_use - released.in_use);
        CHECK(allocate_buffer(12345).get() == address);
        CHECK(buffer_pool_usage().kept == released.kept);
    }

    TEST_CASE("the peak is the most that was handed out at once since it was reset") {
        reset_buffer_pool_peak();
        std::size_t before = buffer_pool_usage().in_use;
        CHECK(buffer_pool_usage().peak_in_use == before);
        {
            std::shared_ptr<std::byte> a = allocate_buffer(1 << 20), b = allocate_buffer(1 << 20);
        }
        allocate_buffer(1 << 20);
        CHECK(buffer_pool_usage().in_use == before);
        CHECK(buffer_pool_usage().peak_in_use == before + (2 << 20));
        reset_buffer_pool_peak();
        CHECK(buffer_pool_usage().peak_in_use == before);
    }

    TEST_CASE("trimming gives the kept buffers back to the system and leaves those in use alone") {
        std::shared_ptr<std::byte> held = allocate_buffer(1000);
        allocate_buffer(1000);
        CHECK(buffer_pool_usage().kept > 0);
        std::size_t in_use = buffer_pool_usage().in_use;
        trim_buffer_pool();
        CHECK(buffer_pool_usage().kept == 0);
        CHECK(buffer_pool_usage().in_use == in_use);
        std::memset(held.get(), 1, 1000);
    }

#ifndef __SANITIZE_ADDRESS__ // which ends the program instead
    TEST_CASE("a buffer that the system refuses leaves the counts as they were") {
        BufferPoolUsage before = buffer_pool_usage();
        CHECK_THROWS_AS(allocate_buffer(std::numeric_limits<std::size_t>::max() / 4), std::bad_alloc);
        CHECK(buffer_pool_usage().in_use == before.in_use);
        CHECK(buffer_pool_usage().peak_in_use == before.peak_in_use);
    }
#endif

    TEST_CASE("several threads take and return buffers at once, across each other") {
        std::size_t before = buffer_pool_usage().in_use;
        std::atomic<int> overwritten = 0;
        std::vector<std::shared_ptr<std::byte>> last(4);
        std::vector<std::thread> threads;
        for (unsigned thread = 0; thread < 4; ++thread)
            threads.emplace_back([&, thread] {
                for (std::size_t i = 0; i < 2000; ++i) {
                    std::size_t bytes = 64 + 64 * (i % 7);
                    std::shared_ptr<std::byte> buffer = allocate_buffer(bytes);
                    std::memset(buffer.get(), static_cast<int>(thread), bytes);
                    for (std::size_t b = 0; b < bytes; ++b)
                        if (buffer.get()[b] != std::byte(thread)) ++overwritten;
                    last[thread] = std::move(buffer);
                }
            });
        for (std::thread& thread : threads) thread.join();
        last.clear();
        CHECK(overwritten == 0);
        CHECK(buffer_pool_usage().in_use == before);
    }
}

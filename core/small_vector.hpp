#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <type_traits>

namespace cotape {

/// A sequence of trivially copyable values that keeps up to `N` of them in place and allocates beyond that. Shapes,
/// a node's inputs and its attributes are such sequences: nearly always short, copied often.
template <class T, std::size_t N>
class SmallVector {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) * N >= sizeof(T*));

  public:
    using value_type = T;
    using iterator = T*;
    using const_iterator = const T*;

    SmallVector() noexcept {}
    explicit SmallVector(std::size_t count, T value = T()) { resize(count, value); }
    SmallVector(std::initializer_list<T> values) { append(values.begin(), values.end()); }
    template <std::input_iterator Iterator>
    SmallVector(Iterator first, Iterator last) {
        append(first, last);
    }
    SmallVector(const SmallVector& other) { copy(other); }
    SmallVector(SmallVector&& other) noexcept { take(other); }
    SmallVector& operator=(const SmallVector& other) {
        if (this != &other) {
            size_ = 0;
            copy(other);
        }
        return *this;
    }
    SmallVector& operator=(SmallVector&& other) noexcept {
        if (this != &other) {
            release();
            take(other);
        }
        return *this;
    }
    ~SmallVector() { release(); }

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    T* data() { return capacity_ > N ? heap_ : in_place_; }
    const T* data() const { return capacity_ > N ? heap_ : in_place_; }
    T* begin() { return data(); }
    T* end() { return data() + size_; }
    const T* begin() const { return data(); }
    const T* end() const { return data() + size_; }
    T& operator[](std::size_t i) { return data()[i]; }
    const T& operator[](std::size_t i) const { return data()[i]; }
    T& back() { return data()[size_ - 1]; }
    const T& back() const { return data()[size_ - 1]; }

    void reserve(std::size_t count) { room_for(count); }
    void push_back(T value) {
        T* values = room_for(size_ + 1);
        values[size_++] = value;
    }
    template <class Iterator>
    void append(Iterator first, Iterator last) {
        T* values = room_for(size_ + static_cast<std::size_t>(std::distance(first, last)));
        for (; first != last; ++first) values[size_++] = *first; // few: a loop is faster than a call of memmove
    }
    void resize(std::size_t count, T value = T()) {
        T* values = room_for(count);
        if (count > size_) std::fill(values + size_, values + count, value);
        size_ = static_cast<std::uint32_t>(count);
    }

    friend bool operator==(const SmallVector& a, const SmallVector& b) {
        if (a.size_ != b.size_) return false;
        for (std::size_t i = 0; i < a.size_; ++i) // few: a loop is faster than a call of memcmp
            if (!(a[i] == b[i])) return false;
        return true;
    }

  private:
    /// The values, where `count` of them have room.
    T* room_for(std::size_t count) { return count > capacity_ ? grow(count) : data(); }
    void release() noexcept {
        if (capacity_ > N) give_back();
    }
    // What is seldom needed stays out of the code around it.
    [[gnu::noinline]] T* grow(std::size_t count) {
        std::size_t capacity = std::max<std::size_t>(count, 2 * std::size_t(capacity_));
        T* grown = new T[capacity];
        std::copy(begin(), end(), grown);
        release();
        heap_ = grown;
        capacity_ = static_cast<std::uint32_t>(capacity);
        return grown;
    }
    [[gnu::noinline]] void give_back() noexcept {
        delete[] heap_;
        capacity_ = N;
    }
    /// Fills an empty vector. Values in place are copied all at once: a copy of known size needs no loop.
    void copy(const SmallVector& other) {
        if (other.capacity_ > N || capacity_ > N) {
            append(other.begin(), other.end());
            return;
        }
        std::memcpy(in_place_, other.in_place_, sizeof in_place_);
        size_ = other.size_;
    }
    void take(SmallVector& other) noexcept {
        size_ = other.size_;
        capacity_ = other.capacity_;
        std::memcpy(in_place_, other.in_place_, sizeof in_place_); // the pointer, where there is one, is in there too
        other.size_ = 0;
        other.capacity_ = N;
    }

    std::uint32_t size_ = 0;
    std::uint32_t capacity_ = N;
    union {
        T in_place_[N]{};
        T* heap_;
    };
};

} // namespace cotape

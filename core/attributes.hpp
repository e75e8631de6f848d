#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include <cotape/core/shape.hpp>
#include <cotape/core/small_vector.hpp>

namespace cotape {

/// The named parameters of one application of an op: integers, integer lists and real numbers. Part of what a node is:
/// two applications of an op to the same inputs are the same node exactly where their attributes are equal. Names are
/// string literals. Every number is kept as 64 bits, so that comparing and hashing are one loop.
class Attributes {
  public:
    struct Attribute {
        Attribute(const char* key, bool value) : name(key), number(value) {}
        Attribute(const char* key, int value) : name(key), number(value) {}
        Attribute(const char* key, std::int64_t value) : name(key), number(value) {}
        Attribute(const char* key, double value)
            : name(key), kind(Kind::real), number(std::bit_cast<std::int64_t>(value)) {}
        /// Refers to `values`: for the braces that Attributes are made of.
        Attribute(const char* key, const Shape& values) : name(key), kind(Kind::integers), list(values) {}

        enum class Kind : std::uint8_t { integer, integers, real };
        const char* name;
        Kind kind = Kind::integer;
        std::int64_t number = 0;
        std::span<const std::int64_t> list;
    };

    Attributes() = default;
    Attributes(std::initializer_list<Attribute> attributes);

    bool empty() const { return fields_.empty(); }
    bool has(const char* name) const;

    /// The value under `name`; that it is there, with that kind, is the op's own invariant. Throws ValueError
    /// otherwise.
    std::int64_t integer(const char* name) const;
    bool flag(const char* name) const { return integer(name) != 0; }
    double real(const char* name) const;
    Shape integers(const char* name) const;

    std::uint64_t hash() const { return empty() ? 0 : hash_of_fields(); }
    friend bool operator==(const Attributes& a, const Attributes& b) {
        return a.fields_.size() == b.fields_.size() && (a.empty() || a.has_fields_of(b));
    }

    /// "axes=[0], keep_dims=1"
    std::string to_string() const;

  private:
    struct Field {
        const char* name;
        std::uint32_t begin;
        std::uint16_t count;
        Attribute::Kind kind;
    };
    const Field& field(const char* name, Attribute::Kind kind) const;
    std::uint64_t hash_of_fields() const;
    /// Of as many fields.
    bool has_fields_of(const Attributes& other) const;

    SmallVector<Field, 4> fields_;
    SmallVector<std::int64_t, 4> numbers_;
};

/// Mixes `value` into the hash `seed`.
constexpr std::uint64_t mix_hash(std::uint64_t seed, std::uint64_t value) {
    std::uint64_t mixed = (seed ^ value) * 0x9E3779B97F4A7C15u;
    return mixed ^ (mixed >> 29);
}

} // namespace cotape

#include <cotape/core/attributes.hpp>

#include <bit>
#include <string_view>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape {
namespace {

/// Most names are compared with the very literal that they are.
bool same_name(const char* a, const char* b) { return a == b || std::string_view(a) == b; }

} // namespace

Attributes::Attributes(std::initializer_list<Attribute> attributes) {
    fields_.reserve(attributes.size());
    for (const Attribute& attribute : attributes) {
        std::span<const std::int64_t> numbers = attribute.list;
        if (attribute.kind != Attribute::Kind::integers) numbers = {&attribute.number, 1};
        fields_.push_back({attribute.name, static_cast<std::uint32_t>(numbers_.size()),
                           static_cast<std::uint16_t>(numbers.size()), attribute.kind});
        numbers_.append(numbers.begin(), numbers.end());
    }
}

bool Attributes::has(const char* name) const {
    for (const Field& field : fields_)
        if (same_name(field.name, name)) return true;
    return false;
}

const Attributes::Field& Attributes::field(const char* name, Attribute::Kind kind) const {
    for (const Field& field : fields_)
        if (field.kind == kind && same_name(field.name, name)) return field;
    throw ValueError(fmt::format("attributes: no '{}' of the kind asked for among ({})", name, to_string()));
}

std::int64_t Attributes::integer(const char* name) const {
    return numbers_[field(name, Attribute::Kind::integer).begin];
}

double Attributes::real(const char* name) const {
    return std::bit_cast<double>(numbers_[field(name, Attribute::Kind::real).begin]);
}

Shape Attributes::integers(const char* name) const {
    const Field& found = field(name, Attribute::Kind::integers);
    return Shape(numbers_.begin() + found.begin, numbers_.begin() + found.begin + found.count);
}

std::uint64_t Attributes::hash_of_fields() const {
    std::uint64_t hash = fields_.size();
    for (std::int64_t number : numbers_) hash = mix_hash(hash, static_cast<std::uint64_t>(number));
    return hash;
}

bool Attributes::has_fields_of(const Attributes& other) const {
    if (!(numbers_ == other.numbers_)) return false;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
        const Field &left = fields_[i], &right = other.fields_[i];
        if (left.count != right.count || left.kind != right.kind || !same_name(left.name, right.name)) return false;
    }
    return true;
}

std::string Attributes::to_string() const {
    std::string text;
    for (const Field& field : fields_) {
        if (!text.empty()) text += ", ";
        switch (field.kind) {
        case Attribute::Kind::integer: text += fmt::format("{}={}", field.name, numbers_[field.begin]); break;
        case Attribute::Kind::integers:
            text += fmt::format("{}={}", field.name, cotape::to_string(integers(field.name)));
            break;
        case Attribute::Kind::real: text += fmt::format("{}={:g}", field.name, real(field.name)); break;
        }
    }
    return text;
}

} // namespace cotape

#include <cotape/core/attributes.hpp>

#include <bit>
#include <string_view>

#include <fmt/format.h>

#include <cotape/core/error.hpp>

namespace cotape {

Attributes::Attribute::Attribute(const char* name, double value)
    : name(name), kind(Kind::real), integers{std::bit_cast<std::int64_t>(value)} {}

Attributes::Attributes(std::initializer_list<Attribute> attributes) {
    for (const Attribute& attribute : attributes) {
        fields_.push_back({attribute.name, static_cast<std::uint32_t>(numbers_.size()),
                           static_cast<std::uint16_t>(attribute.integers.size()), attribute.kind});
        numbers_.append(attribute.integers.begin(), attribute.integers.end());
    }
}

bool Attributes::has(const char* name) const {
    for (const Field& field : fields_)
        if (std::string_view(field.name) == name) return true;
    return false;
}

const Attributes::Field& Attributes::field(const char* name, Attribute::Kind kind) const {
    for (const Field& field : fields_)
        if (field.kind == kind && std::string_view(field.name) == name) return field;
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

std::uint64_t Attributes::hash() const {
    std::uint64_t hash = fields_.size();
    for (std::int64_t number : numbers_) hash = mix_hash(hash, static_cast<std::uint64_t>(number));
    return hash;
}

bool operator==(const Attributes& a, const Attributes& b) {
    if (a.fields_.size() != b.fields_.size() || !(a.numbers_ == b.numbers_)) return false;
    for (std::size_t i = 0; i < a.fields_.size(); ++i) {
        const Attributes::Field &left = a.fields_[i], &right = b.fields_[i];
        if (left.count != right.count || left.kind != right.kind ||
            (left.name != right.name && std::string_view(left.name) != right.name))
            return false;
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

#include "op_table.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <stdexcept>

using cotape::Tensor;

namespace {

Tensor draw(const OpInput& input, std::mt19937_64& random) {
    const Domain& domain = input.domain;
    auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
    if (domain.kind == Domain::Kind::positions)
        return Tensor::make<std::int64_t>(input.shape, [&](std::span<std::int64_t> elements) {
            for (std::int64_t& element : elements) element = static_cast<std::int64_t>(uniform() * domain.high);
        });
    return Tensor::make<double>(input.shape, [&](std::span<double> elements) {
        for (double& element : elements) {
            element = domain.low + (domain.high - domain.low) * uniform();
            if (domain.kind == Domain::Kind::away_from_zero && random() % 2) element = -element;
        }
        if (domain.kind == Domain::Kind::given) {
            if (domain.values.size() != elements.size()) throw std::logic_error("a row gives too few or many values");
            std::ranges::copy(domain.values, elements.begin());
        }
        if (domain.kind == Domain::Kind::distinct) {
            double count = static_cast<double>(std::max<std::size_t>(elements.size(), 2));
            for (std::size_t i = 0; i < elements.size(); ++i)
                elements[i] = domain.low + (domain.high - domain.low) * static_cast<double>(i) / (count - 1);
            for (std::size_t i = elements.size(); i > 1; --i) std::swap(elements[i - 1], elements[random() % i]);
        }
    });
}

} // namespace

std::string to_string(const OpRow& row) { return row.variant.empty() ? row.op : row.op + ", " + row.variant; }

const std::vector<OpRow>& op_table() {
    static const std::vector<OpRow> table = [] {
        std::vector<OpRow> rows;
        for (auto family : {arithmetic_rows, function_rows, comparison_rows, reduction_rows, shaping_rows, matmul_rows,
                            convolution_rows, pooling_rows, loss_rows, derivative_rows, linear_algebra_rows,
                            scan_rows})
            for (OpRow& row : family()) rows.push_back(std::move(row));
        return rows;
    }();
    return table;
}

std::vector<Tensor> draw_inputs(const OpRow& row, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Tensor> inputs;
    for (const OpInput& input : row.inputs) inputs.push_back(draw(input, random));
    return inputs;
}

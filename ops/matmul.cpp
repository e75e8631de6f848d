#include <cotape/ops/matmul.hpp>

#include <vector>

#include <fmt/format.h>

#include <cotape/core/dispatch.hpp>
#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/gemm.hpp>
#include <cotape/ops/shaping.hpp>

namespace cotape {
namespace {

/// The last two extents of an operand as it enters the product.
struct Matrix {
    std::int64_t rows, columns;

    Matrix(const Shape& shape, bool transposed) : rows(shape[shape.size() - 2]), columns(shape.back()) {
        if (transposed) std::swap(rows, columns);
    }
};

Shape batch_of(const Shape& shape) { return Shape(shape.begin(), shape.end() - 2); }

Type matmul_type(const Call& call) {
    bool transpose_a = call.attributes.flag("transpose_a"), transpose_b = call.attributes.flag("transpose_b");
    if (call.type(0).dtype != call.type(1).dtype || !is_floating(call.type(0).dtype))
        throw DtypeError(fmt::format("matmul: cannot multiply {} by {}", to_string(call.type(0).dtype),
                                     to_string(call.type(1).dtype)));
    auto refuse = [&] {
        throw ShapeError(fmt::format("matmul: cannot multiply {}{} by {}{}", to_string(call.shape(0)),
                                     transpose_a ? " transposed" : "", to_string(call.shape(1)),
                                     transpose_b ? " transposed" : ""));
    };
    if (call.shape(0).size() < 2 || call.shape(1).size() < 2) refuse();
    Matrix a(call.shape(0), transpose_a), b(call.shape(1), transpose_b);
    if (a.columns != b.rows) refuse();
    Shape shape = broadcast(batch_of(call.shape(0)), batch_of(call.shape(1)), call.name());
    shape.push_back(a.rows);
    shape.push_back(b.columns);
    return {shape, call.type(0).dtype};
}

/// Where the matrices of a broadcast batch begin within an operand.
class BatchOffsets {
  public:
    BatchOffsets(const Shape& operand, const Shape& batch) : batch_(batch), strides_(batch.size()) {
        std::int64_t stride = operand[operand.size() - 2] * operand.back();
        std::size_t rank = operand.size() - 2;
        for (std::size_t i = 0; i < rank; ++i) {
            std::int64_t extent = operand[rank - 1 - i];
            strides_[batch.size() - 1 - i] = extent == 1 ? 0 : stride;
            stride *= extent;
        }
    }
    std::int64_t operator()(std::int64_t position) const {
        std::int64_t offset = 0;
        for (std::size_t i = batch_.size(); i-- > 0; position /= batch_[i])
            offset += position % batch_[i] * strides_[i];
        return offset;
    }

  private:
    const Shape& batch_;
    Shape strides_;
};

void fill_with_product(const Call& call, std::span<const Tensor> inputs, MutableTensor& output) {
    bool transpose_a = call.attributes.flag("transpose_a"), transpose_b = call.attributes.flag("transpose_b");
    Matrix a(call.shape(0), transpose_a), b(call.shape(1), transpose_b);
    Shape batch = batch_of(output.type().shape);
    visit_floating(output.type().dtype, [&]<class T>(T) {
        const T *first_a = inputs[0].elements<T>().data(), *first_b = inputs[1].elements<T>().data();
        T* first_c = output.elements<T>().data();
        if (!transpose_a && call.shape(1).size() == 2) { // one tall product
            run(Gemm<T>{false, transpose_b, element_count(batch) * a.rows, b.columns, b.rows, first_a, first_b,
                        first_c});
            return;
        }
        BatchOffsets offset_a(call.shape(0), batch), offset_b(call.shape(1), batch);
        std::int64_t products = element_count(batch);
        for (std::int64_t i = 0; i < products; ++i)
            run(Gemm<T>{transpose_a, transpose_b, a.rows, b.columns, b.rows, first_a + offset_a(i),
                        first_b + offset_b(i), first_c + i * a.rows * b.columns});
    });
}

/// With C = A B, the cotangents are G B' and A' G; a transposed operand gets its own transposed.
Var matmul_derivative(const Rule& rule) {
    Var a = rule.x[0], b = rule.x[1], g = rule.g;
    bool ta = rule.attributes.flag("transpose_a"), tb = rule.attributes.flag("transpose_b");
    Var cotangent;
    if (rule.input == 0)
        cotangent = ta ? matmul(b, g, {.transpose_a = tb, .transpose_b = true}) : matmul(g, b, {.transpose_b = !tb});
    else
        cotangent = tb ? matmul(g, a, {.transpose_a = true, .transpose_b = ta}) : matmul(a, g, {.transpose_a = !ta});
    return sum_to(cotangent, rule.x[rule.input].shape());
}

/// As one product of the operands put one under the other, where copying them there moves less than adding the
/// products: the weight's gradient of a net that is unrolled in time.
Var sum_of_products(std::span<const Var> products) {
    std::vector<Operand> a, b;
    std::int64_t copied = 0;
    for (Var product : products) {
        const Node& node = product.node();
        Tape& tape = product.tape();
        a.emplace_back(tape.var(node.inputs[0]));
        b.emplace_back(tape.var(node.inputs[1]));
        const Shape &left = a.back().var.shape(), &right = b.back().var.shape();
        bool tall = node.attributes.flag("transpose_a") && !node.attributes.flag("transpose_b");
        // With the cotangent of a jvp on either side, nothing would be linear in it.
        tall = tall && a.back().var.node().symbolic == a.front().var.node().symbolic &&
               b.back().var.node().symbolic == b.front().var.node().symbolic;
        if (!tall || left.size() != 2 || right.size() != 2) return Var();
        copied += element_count(left) + element_count(right);
    }
    std::int64_t added = element_count(products[0].shape()) * static_cast<std::int64_t>(products.size());
    if (copied > 2 * added) return Var();
    return matmul(concatenate(a, 0), concatenate(b, 0), {.transpose_a = true});
}

const Op matmul_op{
    .name = "matmul",
    .type = matmul_type,
    .fill = fill_with_product,
    .derivative = matmul_derivative,
    .sum = sum_of_products,
};

} // namespace

Var matmul(Operand a, Operand b, MatmulOptions options) {
    return record(matmul_op, {a, b}, {{"transpose_a", options.transpose_a}, {"transpose_b", options.transpose_b}});
}

} // namespace cotape

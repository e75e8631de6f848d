#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/batch_statistics.hpp>
#include <cotape/ops/broadcasting.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/convolution.hpp>
#include <cotape/ops/indexing.hpp>
#include <cotape/ops/losses.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/scans.hpp>
#include <cotape/ops/shaping.hpp>
#include <cotape/ops/softmax.hpp>

#include "caller.hpp"

using namespace cotape;

TEST_SUITE("ops") {
    TEST_CASE_FIXTURE(Caller, "elementwise ops refuse shapes that do not broadcast, naming both") {
        Var a = of({2, 3}), b = of({2}), c = of({4, 2, 3});
        throws<ShapeError>("add: cannot broadcast [2, 3] with [2]", [&] { a + b; });
        throws<ShapeError>("multiply: cannot broadcast [2] with [2, 3]", [&] { b * a; });
        throws<ShapeError>("where: cannot broadcast [4, 2, 3] with [2]", [&] { where(a, c, b); });
    }

    TEST_CASE_FIXTURE(Caller, "elementwise ops refuse element types that differ, and integers") {
        Var a = of({2}), b = of({2}, Dtype::float32), c = of({2}, Dtype::int64);
        throws<DtypeError>("subtract: cannot combine float64 with float32", [&] { a - b; });
        throws<DtypeError>("maximum: cannot combine float32 with int64", [&] { maximum(b, c); });
        throws<DtypeError>("tanh: needs float32 or float64, got int64", [&] { tanh(c); });
        throws<DtypeError>("divide: cannot use 0.5 with int64 elements", [&] { c / 0.5; });
    }

    TEST_CASE_FIXTURE(Caller, "ops refuse variables of two tapes") {
        Tape other;
        Var a = of({2}), b = other.variable(Tensor::full({2}, 1, Dtype::float64));
        throws<TapeError>("add: its arguments are on two tapes", [&] { a + b; });
        throws<TapeError>("matmul: its arguments are on two tapes", [&] { matmul(a, b); });
        throws<TapeError>("concatenate: its arguments are on two tapes", [&] { concatenate({a, b}, 0); });
    }

    TEST_CASE_FIXTURE(Caller, "ops refuse numbers alone") {
        throws<TapeError>("pow: at least one argument must be a variable", [&] { pow(Operand(2), Operand(3)); });
        throws<TapeError>("var: used before it was given a value", [&] { sum(2); });
        Var a = of({1});
        throws<TapeError>("concatenate: its inputs must be variables", [&] { concatenate({a, 2}, 0); });
        throws<TapeError>("stack: its inputs must be variables", [&] { stack({a, 2}); });
    }

    TEST_CASE_FIXTURE(Caller, "matmul names the shapes it cannot multiply") {
        Var a = of({32, 784}), b = of({128, 10}), batch = of({3, 784, 2}), other = of({2, 2, 784}), vector = of({784});
        throws<ShapeError>("matmul: cannot multiply [32, 784] by [128, 10]", [&] { matmul(a, b); });
        throws<ShapeError>("matmul: cannot multiply [32, 784] transposed by [128, 10]",
                           [&] { matmul(a, b, {.transpose_a = true}); });
        throws<ShapeError>("matmul: cannot multiply [32, 784] by [128, 10] transposed",
                           [&] { matmul(a, b, {.transpose_b = true}); });
        throws<ShapeError>("matmul: cannot multiply [32, 784] by [784]", [&] { matmul(a, vector); });
        throws<ShapeError>("matmul: cannot broadcast [2] with [3]", [&] { matmul(other, batch); });
        throws<DtypeError>("matmul: cannot multiply float64 by float32",
                           [&, c = of({784, 2}, Dtype::float32)] { matmul(a, c); });
        throws<DtypeError>("matmul: cannot multiply int64 by int64",
                           [&, c = of({2, 2}, Dtype::int64)] { matmul(c, c); });
    }

    TEST_CASE_FIXTURE(Caller, "reductions refuse axes out of range or named twice, and to reduce nothing") {
        Var a = of({2, 3}), none = of({0, 3}), integers = of({2}, Dtype::int64);
        throws<ShapeError>("sum: axis 2 is outside the 2 axes of its input", [&] { sum(a, {2}); });
        throws<ShapeError>("mean: axis -3 is outside the 2 axes of its input", [&] { mean(a, {-3}); });
        throws<ShapeError>("logsumexp: an axis is named twice in [1, -1]", [&] { logsumexp(a, {1, -1}); });
        throws<ShapeError>("prod: an axis is named twice in [0, 0]", [&] { prod(a, {0, 0}); });
        throws<ShapeError>("prod: axis 5 is outside the 2 axes of its input", [&] { prod(a, {5}); });
        throws<ShapeError>("argmax: axis 2 is outside the 2 axes of its input", [&] { argmax(a, 2); });
        throws<ShapeError>("max: needs at least one element along axis 0, got [0, 3]", [&] { max(none); });
        throws<ShapeError>("min: needs at least one element along axis 0, got [0, 3]", [&] { min(none, {0}); });
        throws<ShapeError>("mean: needs at least one element along axis 0, got [0, 3]", [&] { mean(none); });
        throws<ShapeError>("variance: needs at least one element along axis 0, got [0, 3]", [&] { variance(none); });
        throws<ShapeError>("logsumexp: needs at least one element along axis 0, got [0, 3]", [&] { logsumexp(none); });
        throws<ShapeError>("argmax: needs at least one element along axis 0, got [0, 3]", [&] { argmax(none, 0); });
        throws<DtypeError>("sum: needs float32 or float64, got int64", [&] { sum(integers); });
    }

    TEST_CASE_FIXTURE(Caller, "batch statistics refuse what is not a batch of channels") {
        throws<ShapeError>("batch_mean: needs [batch, channels, ...], got [3]", [&, a = of({3})] { batch_mean(a); });
        throws<ShapeError>("batch_variance: needs [batch, channels, ...], got []",
                           [&, a = of({})] { batch_variance(a); });
        throws<ShapeError>("batch_mean: needs at least one element along axis 0, got [0, 3]",
                           [&, a = of({0, 3})] { batch_mean(a); });
        throws<ShapeError>("batch_variance: needs at least one element along axis 2, got [2, 3, 0]",
                           [&, a = of({2, 3, 0})] { batch_variance(a); });
    }

    TEST_CASE_FIXTURE(Caller, "broadcast_to and sum_to refuse shapes that do not stretch") {
        Var a = of({2, 3}), scalar = of({});
        throws<ShapeError>("broadcast_to: cannot broadcast [2, 3] with [2, 4]", [&] { broadcast_to(a, {2, 4}); });
        throws<ShapeError>("broadcast_to: cannot stretch [2, 3] to [3]", [&] { broadcast_to(a, {3}); });
        throws<ShapeError>("sum_to: [2] does not stretch to []", [&] { sum_to(scalar, {2}); });
        throws<ShapeError>("sum_to: cannot broadcast [2, 3] with [2]", [&] { sum_to(a, {2}); });
    }

    TEST_CASE_FIXTURE(Caller, "shaping ops name what does not fit") {
        Var a = of({2, 3}), b = of({3, 3}), scalar = of({}), single = of({2, 3}, Dtype::float32);
        throws<ShapeError>("reshape: cannot make [4] of [2, 3]", [&] { reshape(a, {4}); });
        throws<ShapeError>("reshape: cannot make [4, -1] of [2, 3]", [&] { reshape(a, {4, -1}); });
        throws<ShapeError>("reshape: cannot make [-2, -3] of [2, 3]", [&] { reshape(a, {-2, -3}); });
        throws<ShapeError>("reshape: only one extent can be -1, got [-1, -1]", [&] { reshape(a, {-1, -1}); });
        throws<ShapeError>("flatten: cannot merge axes 2 to 1 of [2, 3, 4]",
                           [&, a = of({2, 3, 4})] { flatten(a, 2, 1); });
        throws<ShapeError>("permute: needs each of the 2 axes once, got [0, 0]", [&] { permute(a, {0, 0}); });
        throws<ShapeError>("permute: needs each of the 2 axes once, got [1]", [&] { permute(a, {1}); });
        throws<ShapeError>("permute: axis 2 is outside the 2 axes of its input", [&] { permute(a, {0, 2}); });
        throws<ShapeError>("transpose: needs at least two axes, got []", [&] { transpose(scalar); });
        throws<ShapeError>("slice: cannot take 2 to 4 by 1 of the 3 elements along axis 1 of [2, 3]",
                           [&] { slice(a, 1, 2, 4); });
        throws<ShapeError>("slice: cannot take 2 to 1 by 1 of the 3 elements along axis 1 of [2, 3]",
                           [&] { slice(a, -1, 2, 1); });
        throws<ShapeError>("slice: cannot take 0 to 3 by 0 of the 3 elements along axis 1 of [2, 3]",
                           [&] { slice(a, 1, 0, 3, 0); });
        throws<ShapeError>("slice: axis 0 is outside the 0 axes of its input", [&] { slice(scalar, 0, 0, 1); });
        throws<ShapeError>("pad: needs two counts of at least 0 for each axis of [2, 3], got [1] and [1]",
                           [&] { pad(a, {1}, {1}); });
        throws<ShapeError>("pad: needs two counts of at least 0 for each axis of [2, 3], got [1, -1] and [1, 1]",
                           [&] { pad(a, {1, -1}, {1, 1}); });
        throws<ShapeError>("concatenate: needs at least one input", [&] { concatenate({}, 0); });
        throws<ShapeError>("concatenate: cannot join [2, 3] and [3, 3] along axis 1", [&] { concatenate({a, b}, 1); });
        throws<ShapeError>("concatenate: cannot join [2, 3] and [] along axis 0", [&] { concatenate({a, scalar}, 0); });
        throws<ShapeError>("concatenate: axis 2 is outside the 2 axes of its input", [&] { concatenate({a, b}, 2); });
        throws<DtypeError>("concatenate: cannot join float64 and float32", [&] { concatenate({a, single}, 0); });
        throws<ShapeError>("stack: needs at least one input", [&] { stack({}); });
        throws<ShapeError>("stack: cannot stack [3, 3] on [2, 3]", [&] { stack({a, b}); });
        throws<ShapeError>("stack: axis 3 is outside the 3 axes of its input", [&] { stack({a, a}, 3); });
    }

    TEST_CASE_FIXTURE(Caller, "indexing ops refuse positions of another type, and shapes that do not fit") {
        Var a = of({2, 3}), scalar = of({}), p = positions({2}), integers = of({2}, Dtype::int64);
        throws<DtypeError>("take: needs int64 positions, got float64", [&] { take(a, a); });
        throws<ShapeError>("take: needs at least one axis, got a scalar", [&] { take(scalar, p); });
        throws<DtypeError>("scatter_add: needs int64 positions, got float64", [&] { scatter_add(a, a, 2); });
        throws<DtypeError>("scatter_add: needs float32 or float64, got int64", [&] { scatter_add(integers, p, 2); });
        throws<ShapeError>("scatter_add: entries [2, 3] do not begin with the shape of the indices [3]",
                           [&, q = positions({3})] { scatter_add(a, q, 2); });
        throws<ShapeError>("scatter_add: needs at least 0 rows, got -1", [&] { scatter_add(a, p, -1); });
        throws<DtypeError>("one_hot: needs int64 positions, got float64", [&] { one_hot(a, 3); });
        throws<ShapeError>("one_hot: needs at least one class, got 0", [&] { one_hot(p, 0); });
        throws<DtypeError>("one_hot: gives float32 or float64, asked for int64", [&] { one_hot(p, 3, Dtype::int64); });
    }

    TEST_CASE_FIXTURE(Caller, "positions outside the rows are named when the value is computed") {
        Var a = of({2, 3}), p = tape.constant(Tensor::of<std::int64_t>({2}, {1, 2}));
        Var negative = tape.constant(Tensor::of<std::int64_t>({2}, {-1, 0})), q = positions({2}, 5);
        Var taken = take(a, p), wrapped = take(a, negative), added = scatter_add(a, q, 4), mask = one_hot(q, 3);
        throws<ValueError>("take: 2 at position 1 is outside the 2 rows", [&] { taken.value(); });
        throws<ValueError>("take: -1 at position 0 is outside the 2 rows", [&] { wrapped.value(); });
        throws<ValueError>("scatter_add: 5 at position 0 is outside the 4 rows", [&] { added.value(); });
        throws<ValueError>("one_hot: 5 at position 0 is outside the 3 classes", [&] { mask.value(); });
    }

    TEST_CASE_FIXTURE(Caller, "softmax and clamp refuse what they are not defined for") {
        Var a = of({2, 3}), scalar = of({}), integers = of({2}, Dtype::int64);
        throws<ShapeError>("softmax: axis 2 is outside the 2 axes of its input", [&] { softmax(a, 2); });
        throws<ShapeError>("log_softmax: axis -1 is outside the 0 axes of its input", [&] { log_softmax(scalar); });
        throws<DtypeError>("softmax: needs float32 or float64, got int64", [&] { softmax(integers); });
        throws<ValueError>("clamp: needs low <= high, got 1 and 0.5", [&] { clamp(a, 1, 0.5); });
        throws<ValueError>("clamp: needs low <= high, got nan and 1", [&] { clamp(a, __builtin_nan(""), 1); });
    }

    TEST_CASE_FIXTURE(Caller, "compositions name themselves where they refuse integers") {
        Var one = of({1}, Dtype::int64), image = of({1, 1, 2, 2}, Dtype::int64);
        throws<DtypeError>("cumprod: needs float32 or float64, got int64", [&] { cumprod(one, 0); });
        throws<DtypeError>("conv_transpose2d: cannot convolve int64 with int64",
                           [&] { conv_transpose2d(image, image); });
    }

    TEST_CASE_FIXTURE(Caller, "losses refuse shapes that would broadcast") {
        Var column = of({4, 1}), row = of({1, 4}), vector = of({4});
        throws<ShapeError>("mean_squared_error: needs two equal shapes, got [4, 1] and [1, 4]",
                           [&] { mean_squared_error(column, row); });
        throws<ShapeError>("mean_squared_error: needs two equal shapes, got [4, 1] and [4]",
                           [&] { mean_squared_error(column, vector); });
        throws<ShapeError>("binary_cross_entropy_with_logits: needs two equal shapes, got [1, 4] and [4]",
                           [&] { binary_cross_entropy_with_logits(row, vector); });
        throws<ShapeError>("mean_squared_error: needs two equal shapes, got [4] and a number",
                           [&] { mean_squared_error(vector, 0); });
        throws<ShapeError>("binary_cross_entropy_with_logits: needs two equal shapes, got a number and [4]",
                           [&] { binary_cross_entropy_with_logits(2, vector); });
        throws<DtypeError>("subtract: cannot combine float64 with float32",
                           [&, single = of({4}, Dtype::float32)] { mean_squared_error(vector, single); });
    }

    TEST_CASE_FIXTURE(Caller, "cross_entropy refuses labels, weights and smoothing that do not fit") {
        Var logits = of({2, 3}), empty = of({0, 3}), integers = of({2, 3}, Dtype::int64);
        Tensor labels = Tensor::of<std::int64_t>({2}, {0, 2});
        throws<DtypeError>("cross_entropy: needs int64 labels, got float64",
                           [&] { cross_entropy(logits, Tensor::of<double>({2}, {0, 1})); });
        throws<ShapeError>("cross_entropy: needs logits [N, classes] and labels [N], got [2, 3] and [3]",
                           [&] { cross_entropy(logits, Tensor::of<std::int64_t>({3}, {0, 1, 2})); });
        throws<ShapeError>("cross_entropy: needs logits [N, classes] and labels [N], got a number and [2]",
                           [&] { cross_entropy(0.5, Tensor::full({2}, 0, Dtype::int64)); });
        throws<ShapeError>("cross_entropy: needs logits [N, classes] and labels [N], got [2, 3] and [2, 1]",
                           [&] { cross_entropy(logits, Tensor::of<std::int64_t>({2, 1}, {0, 1})); });
        throws<ShapeError>("cross_entropy: needs at least one example and one class, got logits [0, 3]",
                           [&] { cross_entropy(empty, Tensor::of<std::int64_t>({0}, {})); });
        throws<ValueError>("cross_entropy: label 3 at index 1 is outside the 3 classes",
                           [&] { cross_entropy(logits, Tensor::of<std::int64_t>({2}, {0, 3})); });
        throws<ValueError>("cross_entropy: label -1 at index 0 is outside the 3 classes",
                           [&] { cross_entropy(logits, Tensor::of<std::int64_t>({2}, {-1, 0})); });
        throws<ValueError>("cross_entropy: label_smoothing must be in [0, 1], got 1.5",
                           [&] { cross_entropy(logits, labels, {.label_smoothing = 1.5}); });
        throws<ValueError>("cross_entropy: label_smoothing must be in [0, 1], got nan",
                           [&] { cross_entropy(logits, labels, {.label_smoothing = __builtin_nan("")}); });
        throws<ShapeError>("cross_entropy: class_weights must be float64 [3], got float64 [2]",
                           [&] { cross_entropy(logits, labels, {.class_weights = Tensor::of<double>({2}, {1, 2})}); });
        throws<DtypeError>("cross_entropy: class_weights must be float64 [3], got float32 [3]", [&] {
            cross_entropy(logits, labels, {.class_weights = Tensor::of<float>({3}, {1, 2, 3})});
        });
        throws<DtypeError>("cross_entropy: needs float32 or float64 logits, got int64",
                           [&] { cross_entropy(integers, labels); });
    }
}

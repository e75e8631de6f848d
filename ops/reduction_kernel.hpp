#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <cotape/core/cpu.hpp>
#include <cotape/core/dispatch.hpp>
#include <cotape/core/tensor.hpp>

namespace cotape {

/// How a reduction walks its input: which axes are reduced, neighbours of one kind merged into one.
class ReductionLoops {
  public:
    /// `axes` are the reduced ones: in range, each at most once.
    ReductionLoops(const Shape& shape, const Shape& axes);

    /// How many input elements go into each output.
    std::int64_t reduced_count() const { return reduced_count_; }

    /// Folds the input into one number for each output. `Fold` is stateless:
    ///   start(), step(accumulated, element, parameter), join(accumulated, accumulated), all on doubles;
    /// `parameters` holds one number for each output, or is empty for zeros. The order of the folding depends on the
    /// shape alone.
    template <class Fold>
    std::vector<double> fold(const Tensor& input, std::span<const double> parameters) const;

  private:
    struct Axis {
        std::int64_t extent;
        std::int64_t stride;
    };

    template <class Fold, class T>
    void fold_runs(const T* input, const double* parameters, double* outputs) const;
    template <class Fold, class T>
    void fold_rows(const T* input, const double* parameters, double* outputs) const;

    /// The distance from the first element to the one at row-major position `position` over `axes`.
    static std::int64_t offset_of(std::int64_t position, const SmallVector<Axis, 4>& axes);

    /// The innermost merged axis: a run that is summed up, or a row whose elements stay apart.
    bool inner_reduced_ = false;
    std::int64_t inner_ = 1;
    SmallVector<Axis, 4> kept_, reduced_;
    std::int64_t kept_count_ = 1, outer_reduced_count_ = 1, reduced_count_ = 1;
};

template <class Fold>
std::vector<double> ReductionLoops::fold(const Tensor& input, std::span<const double> parameters) const {
    std::vector<double> outputs(static_cast<std::size_t>(inner_reduced_ ? kept_count_ : kept_count_ * inner_));
    std::vector<double> zeros(parameters.empty() ? outputs.size() : 0);
    const double* of_output = parameters.empty() ? zeros.data() : parameters.data();
    visit_floating(input.dtype(), [&]<class T>(T) {
        const T* elements = input.elements<T>().data();
        if (inner_reduced_)
            fold_runs<Fold>(elements, of_output, outputs.data());
        else
            fold_rows<Fold>(elements, of_output, outputs.data());
    });
    return outputs;
}

/// Each output from contiguous runs, folded in sixteen lanes that are joined in order at the end.
template <class Fold, class T>
void ReductionLoops::fold_runs(const T* input, const double* parameters, double* outputs) const {
    constexpr std::int64_t lanes = 16;
#pragma omp parallel for if (kept_count_ * reduced_count_ >= 64 * 1024)
    for (std::int64_t output = 0; output < kept_count_; ++output)
        run_vectorized([&]() __attribute__((always_inline)) {
            double accumulated[lanes];
            std::fill_n(accumulated, lanes, Fold::start());
            double parameter = parameters[output];
            const T* base = input + offset_of(output, kept_);
            for (std::int64_t outer = 0; outer < outer_reduced_count_; ++outer) {
                const T* run = base + offset_of(outer, reduced_);
                std::int64_t i = 0;
                for (; i + lanes <= inner_; i += lanes)
                    for (std::int64_t lane = 0; lane < lanes; ++lane)
                        accumulated[lane] =
                            Fold::step(accumulated[lane], static_cast<double>(run[i + lane]), parameter);
                for (; i < inner_; ++i)
                    accumulated[i % lanes] = Fold::step(accumulated[i % lanes], static_cast<double>(run[i]), parameter);
            }
            double result = accumulated[0];
            for (std::int64_t lane = 1; lane < lanes; ++lane) result = Fold::join(result, accumulated[lane]);
            outputs[output] = result;
        });
}

/// Rows of outputs, each input row folded into them element by element.
template <class Fold, class T>
void ReductionLoops::fold_rows(const T* input, const double* parameters, double* outputs) const {
    constexpr std::int64_t block = 256;
    std::int64_t blocks = (inner_ + block - 1) / block;
#pragma omp parallel for if (kept_count_ * inner_ * reduced_count_ >= 64 * 1024)
    for (std::int64_t task = 0; task < kept_count_ * blocks; ++task)
        run_vectorized([&]() __attribute__((always_inline)) {
            std::int64_t kept = task / blocks, begin = task % blocks * block;
            std::int64_t count = std::min(block, inner_ - begin);
            double* __restrict__ row = outputs + kept * inner_ + begin;
            const double* __restrict__ parameter = parameters + kept * inner_ + begin;
            std::fill_n(row, count, Fold::start());
            for (std::int64_t outer = 0; outer < outer_reduced_count_; ++outer) {
                const T* __restrict__ from = input + offset_of(kept, kept_) + offset_of(outer, reduced_) + begin;
                for (std::int64_t i = 0; i < count; ++i)
                    row[i] = Fold::step(row[i], static_cast<double>(from[i]), parameter[i]);
            }
        });
}

struct SumFold {
    static double start() { return 0; }
    static double step(double sum, double x, double) { return sum + x; }
    static double join(double a, double b) { return a + b; }
};

struct MaxFold {
    static double start() { return -__builtin_inf(); }
    static double step(double best, double x, double) { return x > best || x != x ? x : best; }
    static double join(double a, double b) { return step(a, b, 0); }
};

struct MinFold {
    static double start() { return __builtin_inf(); }
    static double step(double best, double x, double) { return x < best || x != x ? x : best; }
    static double join(double a, double b) { return step(a, b, 0); }
};

/// The distance from a centre that the parameter gives.
struct DistanceFold {
    static double start() { return 0; }
    static double step(double sum, double x, double centre) { return sum + (x - centre); }
    static double join(double a, double b) { return a + b; }
};

/// The squared distance from a centre that the parameter gives.
struct SquaredDistanceFold {
    static double start() { return 0; }
    static double step(double sum, double x, double centre) { return sum + (x - centre) * (x - centre); }
    static double join(double a, double b) { return a + b; }
};

/// `values`, one for each output, as a tensor of `type`.
Tensor tensor_of_doubles(const Type& type, std::span<const double> values);

} // namespace cotape

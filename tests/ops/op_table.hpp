#pragma once

#include <string>
#include <vector>

#include <cotape/core/tensor.hpp>
#include <cotape/core/var.hpp>

#include "reference_array.hpp"

/// Where an op is defined and smooth: what the elements of an input are drawn from.
struct Domain {
    enum class Kind {
        interval,       ///< anywhere between low and high
        away_from_zero, ///< between low and high in absolute value, of either sign
        distinct,       ///< low, high and what lies evenly between, shuffled: no two within a finite difference
        given,          ///< `values`, in order
        positions,      ///< int64 from 0 to high - 1
    };
    Kind kind = Kind::interval;
    double low = -1;
    double high = 1;
    std::vector<double> values = {};
};

inline Domain between(double low, double high) { return {Domain::Kind::interval, low, high}; }
inline Domain away_from_zero(double low = 0.2, double high = 2) { return {Domain::Kind::away_from_zero, low, high}; }
inline Domain distinct(double low = -1, double high = 1) { return {Domain::Kind::distinct, low, high}; }
inline Domain given(std::vector<double> values) { return {Domain::Kind::given, 0, 0, std::move(values)}; }
inline Domain positions(double count) { return {Domain::Kind::positions, 0, count}; }

struct OpInput {
    cotape::Shape shape;
    Domain domain = between(-1, 1);
    /// Whether the op has a derivative in this input.
    bool differentiable = true;
};

using Vars = std::vector<cotape::Var>;

/// One way to call an op, with all that its generic properties need.
struct OpRow {
    /// The function as ops/*.hpp declare it.
    std::string op;
    /// What is special about this row.
    std::string variant;
    std::function<cotape::Var(const Vars&)> function;
    std::vector<OpInput> inputs;
    Reference reference;
    int order = 3;
};

/// The op and the variant, as failures name them.
std::string to_string(const OpRow& row);

/// All rows, of every function that the public headers of ops/ declare.
const std::vector<OpRow>& op_table();

/// The inputs of a row: the same ones for the same seed.
std::vector<cotape::Tensor> draw_inputs(const OpRow& row, std::uint64_t seed = 1);

// The families that the table is made of.
std::vector<OpRow> arithmetic_rows();
std::vector<OpRow> function_rows();
std::vector<OpRow> comparison_rows();
std::vector<OpRow> reduction_rows();
std::vector<OpRow> shaping_rows();
std::vector<OpRow> matmul_rows();
std::vector<OpRow> convolution_rows();
std::vector<OpRow> loss_rows();
std::vector<OpRow> derivative_rows();
std::vector<OpRow> linear_algebra_rows();
std::vector<OpRow> scan_rows();
std::vector<OpRow> pooling_rows();

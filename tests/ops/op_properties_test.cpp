#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include <cotape/core/gradients.hpp>
#include <cotape/core/tape.hpp>
#include <cotape/ops/gradient_check.hpp>

#include "op_table.hpp"

using namespace cotape;

namespace {

Vars constants(Tape& tape, const std::vector<Tensor>& inputs) {
    Vars vars;
    for (const Tensor& input : inputs) vars.push_back(tape.constant(input));
    return vars;
}

bool has_derivative(const OpRow& row) {
    for (const OpInput& input : row.inputs)
        if (input.differentiable) return true;
    return false;
}

/// Inputs of which the float32 and the float64 form are the same numbers.
std::vector<Tensor> rounded_inputs(const OpRow& row) {
    std::vector<Tensor> inputs = draw_inputs(row);
    for (Tensor& input : inputs)
        if (input.dtype() == Dtype::float64) input = input.as(Dtype::float32).as(Dtype::float64);
    return inputs;
}

double largest(const Tensor& tensor) {
    double result = 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) result = std::fmax(result, std::fabs(tensor.at(i)));
    return result;
}

std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The functions that a header declares to return a Var, or several.
std::set<std::string> functions_of_vars(const std::string& header) {
    std::set<std::string> names;
    for (const std::string start : {"\nVar ", "\nSlogdet "})
        for (std::size_t at = header.find(start); at != std::string::npos; at = header.find(start, at + 1)) {
            std::size_t name = at + start.size();
            bool is_definition = header.find("{\n", name) < header.find(";\n", name);
            if (!is_definition) names.insert(header.substr(name, header.find('(', name) - name));
        }
    return names;
}

} // namespace

TEST_SUITE("ops") {
    TEST_CASE("every op has the value of an independent formula") {
        for (const OpRow& row : op_table()) {
            CAPTURE(to_string(row));
            Tape tape;
            std::vector<Tensor> inputs = draw_inputs(row);
            Arrays arrays(inputs.begin(), inputs.end());
            Tensor value = row.function(constants(tape, inputs)).value();
            Array expected = row.reference(arrays);
            CHECK(to_string(value.shape()) == to_string(expected.shape));
            REQUIRE(value.size() == static_cast<std::int64_t>(expected.values.size()));
            for (std::int64_t i = 0; i < value.size(); ++i) {
                double wanted = expected.values[static_cast<std::size_t>(i)];
                // Two formulas of a dozen roundings each, or a few thousand for the integral.
                CHECK(std::fabs(value.at(i) - wanted) <= 1e-14 * std::fmax(std::fabs(wanted), largest(value)));
            }
        }
    }

    TEST_CASE("every op gives in float32 what it gives in float64, but for rounding") {
        for (const OpRow& row : op_table()) {
            CAPTURE(to_string(row));
            if (row.op == "one_hot") continue; // its type is an option
            Tape tape;
            std::vector<Tensor> inputs = rounded_inputs(row), narrow;
            for (const Tensor& input : inputs)
                narrow.push_back(input.dtype() == Dtype::float64 ? input.as(Dtype::float32) : input);
            Tensor wide_value = row.function(constants(tape, inputs)).value();
            Tensor value = row.function(constants(tape, narrow)).value();
            if (wide_value.dtype() == Dtype::float64) CHECK(value.dtype() == Dtype::float32);
            REQUIRE(value.shape() == wide_value.shape());
            for (std::int64_t i = 0; i < value.size(); ++i)
                // Sixteen roundings of float32 at the size of the largest value.
                CHECK(std::fabs(value.at(i) - wide_value.at(i)) <= 16 * 6e-8 * largest(wide_value));
        }
    }

    TEST_CASE("every derivative is right at orders one to three, in reverse and forward mode") {
        for (const OpRow& row : op_table()) {
            if (!has_derivative(row)) continue;
            CAPTURE(to_string(row));
            std::vector<Tensor> inputs = draw_inputs(row), moving;
            for (std::size_t i = 0; i < inputs.size(); ++i)
                if (row.inputs[i].differentiable && inputs[i].size() > 0) moving.push_back(inputs[i]);
            Tape tape;
            if (moving.empty() || row.function(constants(tape, inputs)).value().size() == 0) continue;
            auto function = [&](const Vars& vars) {
                Vars all;
                for (std::size_t i = 0, next = 0; i < inputs.size(); ++i)
                    all.push_back(row.inputs[i].differentiable && inputs[i].size() > 0
                                      ? vars[next++]
                                      : vars[0].tape().constant(inputs[i]));
                return row.function(all);
            };
            GradientCheckReport report = check_gradients(function, moving, {.order = row.order, .element_limit = 1000});
            INFO(to_string(report));
            CHECK(report);
        }
    }

    TEST_CASE("every gradient has the type of its input, in float32 and float64") {
        for (const OpRow& row : op_table())
            for (Dtype dtype : {Dtype::float32, Dtype::float64}) {
                CAPTURE(to_string(row));
                Tape tape;
                Vars vars, floating;
                for (const Tensor& input : draw_inputs(row)) {
                    vars.push_back(tape.variable(input.dtype() == Dtype::float64 ? input.as(dtype) : input));
                    if (input.dtype() == Dtype::float64) floating.push_back(vars.back());
                }
                Var y = row.function(vars);
                if (y.dtype() == Dtype::int64 || floating.empty()) continue;
                std::vector<Var> slopes = gradients(y, floating, tape.full(y.shape(), 1, y.dtype()));
                for (std::size_t i = 0; i < slopes.size(); ++i) {
                    CHECK(slopes[i].type() == floating[i].type());
                    CHECK(slopes[i].value().type() == floating[i].type());
                }
            }
    }

    TEST_CASE("ops without a derivative have the gradient zero") {
        for (const OpRow& row : op_table()) {
            CAPTURE(to_string(row));
            Tape tape;
            Vars vars = constants(tape, draw_inputs(row));
            Var y = row.function(vars);
            for (std::size_t i = 0; i < vars.size(); ++i) {
                if (row.inputs[i].differentiable || vars[i].dtype() == Dtype::int64 || y.dtype() == Dtype::int64)
                    continue;
                CHECK(largest(gradient(y, vars[i], tape.full(y.shape(), 1, y.dtype())).value()) == 0);
            }
        }
    }

    TEST_CASE("an op recorded twice is one node, on a tape that does not grow") {
        for (const OpRow& row : op_table()) {
            CAPTURE(to_string(row));
            Tape tape;
            Vars vars = constants(tape, draw_inputs(row));
            // Tensors that a function makes itself are new constants each time.
            if (row.op == "cross_entropy" || row.variant == "rows, some of them twice") continue;
            Var first = row.function(vars);
            std::size_t size = tape.size();
            CHECK(is_same(row.function(vars), first));
            CHECK(tape.size() == size);
        }
    }

    TEST_CASE("every op gives the same bits when it is evaluated again") {
        for (const OpRow& row : op_table()) {
            CAPTURE(to_string(row));
            std::vector<Tensor> inputs = draw_inputs(row);
            Tape first, second;
            Tensor a = row.function(constants(first, inputs)).value(),
                   b = row.function(constants(second, inputs)).value();
            REQUIRE(a.type() == b.type());
            CHECK(std::memcmp(a.bytes_begin(), b.bytes_begin(), a.bytes()) == 0);
        }
    }

    TEST_CASE("every function that the public headers of ops declare stands in the table") {
        std::filesystem::path folder = std::filesystem::path(COTAPE_SOURCE_DIR) / "ops";
        std::string build = text_of(folder / "meson.build");
        build = build.substr(build.find("install_headers"));
        std::set<std::string> declared, tabled;
        for (std::size_t quote = build.find('\''); quote != std::string::npos; quote = build.find('\'', quote + 1)) {
            std::size_t begin = quote + 1;
            quote = build.find('\'', begin);
            std::string name = build.substr(begin, quote - begin);
            if (name.ends_with(".hpp")) declared.merge(functions_of_vars(text_of(folder / name)));
        }
        for (const OpRow& row : op_table()) tabled.insert(row.op);
        CHECK(declared.size() >= 57);
        for (const std::string& name : declared) CHECK_MESSAGE(tabled.contains(name), name << " has no row");
        for (const std::string& name : tabled) CHECK_MESSAGE(declared.contains(name), name << " is not declared");
    }
}

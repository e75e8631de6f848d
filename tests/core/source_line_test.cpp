#include <cotape/core/tape.hpp>

#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cotape/core/gradients.hpp>
#include <cotape/ops/activations.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/comparisons.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/losses.hpp>
#include <cotape/ops/matmul.hpp>
#include <cotape/ops/reductions.hpp>
#include <cotape/ops/shaping.hpp>

using namespace cotape;

namespace {

std::string place(Var var) { return place_of(var.tape(), var.node()); }
std::string line(unsigned number) { return fmt::format("source_line_test.cpp:{}", number); }

/// All nodes from `first` on were recorded here, at line `number`.
void check_all_from(const Tape& tape, std::size_t first, unsigned number) {
    for (std::size_t i = first; i < tape.size(); ++i) {
        const Node& node = tape.node(static_cast<NodeId>(i));
        CAPTURE(node.op->name);
        CHECK(place_of(tape, node) == line(number));
    }
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("sources, operators and functions carry the user's line") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2, 2}, 1)); unsigned at_x = __LINE__;
        Var c = tape.constant(Tensor::full({2, 2}, 1)); unsigned at_c = __LINE__;
        Var y = x * c;
        unsigned at_y = __LINE__ - 1;
        Var z = 2 - exp(y); unsigned at_z = __LINE__;
        Var w = matmul(sum(x, {0}, {.keep_dims = true}),
                       z);
        CHECK(place(x) == line(at_x));
        CHECK(place(c) == line(at_c));
        CHECK(place(y) == line(at_y));
        CHECK(place(z) == line(at_z));
        CHECK(place(tape.var(z.node().inputs[0])) == line(at_z));
        CHECK(place(tape.var(z.node().inputs[1])) == line(at_z));
        CHECK(place(tape.var(w.node().inputs[0])) == line(at_z + 1));
    }

    TEST_CASE("all nodes of a composed function carry the line of its call") {
        Tape tape;
        Var x = tape.variable(Tensor::full({4, 3}, 1)), t = tape.variable(Tensor::full({4, 3}, 0.5));
        Tensor labels = Tensor::full({4}, 1, Dtype::int64), weights = Tensor::full({3}, 2);
        CrossEntropyOptions options{.label_smoothing = 0.1, .class_weights = weights};
        auto check_recorded = [&](const char* name, unsigned number, std::size_t before) {
            CAPTURE(name);
            CHECK(tape.size() > before);
            check_all_from(tape, before, number);
        };
        std::size_t before = tape.size();
        gelu(x); check_recorded("gelu", __LINE__, before); before = tape.size();
        leaky_relu(x); check_recorded("leaky_relu", __LINE__, before); before = tape.size();
        cross_entropy(x, labels, options); check_recorded("cross_entropy", __LINE__, before); before = tape.size();
        mean_squared_error(x, t); check_recorded("mean_squared_error", __LINE__, before); before = tape.size();
        binary_cross_entropy_with_logits(x, t); check_recorded("bce", __LINE__, before); before = tape.size();
        prod(x, {1}); check_recorded("prod", __LINE__, before); before = tape.size();
        clamp(x, 0, 2); check_recorded("clamp", __LINE__, before); before = tape.size();
        stack({x, t}, 1); check_recorded("stack", __LINE__, before);
    }

    TEST_CASE("nodes recorded under a module carry its path and the line of the outermost call") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2}, 1)), inner, outer;
        Where call = Where::current();
        {
            Tape::ModuleScope net(tape, "net", call);
            outer = x + 1;
            {
                Tape::ModuleScope layer(tape, "0", Where::current());
                inner = gelu(outer);
            }
            CHECK(tape.module_path((x + 2).node()) == "net");
        }
        CHECK(place(outer) == line(call.line()) + " in net");
        CHECK(place(inner) == line(call.line()) + " in net.0");
        CHECK(tape.module_path((x + 3).node()) == "");
        CHECK(tape.module_path(x.node()) == "");
    }

    TEST_CASE("a module without a name adds nothing to the path") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        Tape::ModuleScope outer(tape, "", Where::current());
        CHECK(tape.module_path((x + 1).node()) == "");
        Tape::ModuleScope net(tape, "net", Where::current());
        Tape::ModuleScope unnamed(tape, "", Where::current());
        CHECK(tape.module_path((x + 2).node()) == "net");
    }

    TEST_CASE("derivative nodes carry the line, the module and the number of the node they belong to") {
        Tape tape;
        Var x = tape.variable(Tensor::full({2}, 1)), y;
        Where call = Where::current();
        {
            Tape::ModuleScope net(tape, "net", call);
            y = tanh(x);
        }
        Var loss = sum(y); unsigned at_loss = __LINE__;
        std::size_t forward = tape.size();
        gradient(loss, x);
        for (std::size_t i = forward; i < tape.size(); ++i) {
            const Node& node = tape.node(static_cast<NodeId>(i));
            CAPTURE(node.op->name);
            bool of_loss = node.derivative_of == loss.id();
            CHECK((of_loss || node.derivative_of == y.id()));
            CHECK(place_of(tape, node) == (of_loss ? line(at_loss) : line(call.line()) + " in net"));
        }
        CHECK(loss.node().derivative_of == -1);
    }

    TEST_CASE("seeds, zeros and second derivatives carry a line of the user's program") {
        Tape tape;
        Var x = tape.variable(Tensor(0.5)), unrelated = tape.variable(Tensor(2.0)); std::size_t forward = tape.size();
        Var y = tanh(x * x); unsigned at_y = __LINE__;
        gradients(gradient(y, x), {x, unrelated});
        jvp(y, x, unrelated);
        jvp(y, unrelated, x);
        check_all_from(tape, forward, at_y);
    }
}

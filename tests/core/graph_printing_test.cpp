#include <cotape/core/graph_printing.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>
#include <cotape/core/gradients.hpp>
#include <cotape/ops/arithmetic.hpp>
#include <cotape/ops/exponential.hpp>
#include <cotape/ops/reductions.hpp>

using namespace cotape;

namespace {

/// `text` with "here" for each line of this file.
std::string without_lines(std::string text) {
    const std::string file = "graph_printing_test.cpp:";
    for (std::size_t at = text.find(file); at != text.npos; at = text.find(file, at))
        text.replace(at, std::min(text.find_first_not_of("0123456789", at + file.size()), text.size()) - at, "here");
    return text;
}

/// sum((2 x)^2) over the first axis, in two modules.
Var small_graph(Tape& tape) {
    Var x = tape.variable(Tensor::full({2, 3}, 1, Dtype::float64));
    Where call = Where::current();
    Tape::ModuleScope net(tape, "net", call);
    Tape::ModuleScope scale(tape, "scale", call);
    Var doubled = 2 * x;
    Tape::ModuleScope none(tape, "", call);
    return sum(doubled * doubled, {0}, {.keep_dims = true});
}

struct Balance {
    bool closed = true;
    int deepest = 0;
    int opened = 0;
};

/// Whether the braces, brackets and quotes of a dot file match.
Balance balance_of(std::string_view dot) {
    std::string open;
    Balance balance;
    bool quoted = false, escaped = false;
    for (char c : dot) {
        if (quoted) {
            if (!escaped && c == '"') quoted = false;
            escaped = !escaped && c == '\\';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            open += c;
            if (c == '{') ++balance.opened;
            balance.deepest = std::max(balance.deepest, static_cast<int>(open.size()));
        } else if (c == '}' || c == ']') {
            if (open.empty() || open.back() != (c == '}' ? '{' : '[')) balance.closed = false;
            if (!open.empty()) open.pop_back();
        }
    }
    balance.closed = balance.closed && open.empty() && !quoted;
    return balance;
}

std::size_t count(std::string_view text, std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
    return found;
}

} // namespace

TEST_SUITE("core") {
    TEST_CASE("a tape prints as text, one node a line") {
        Tape tape;
        small_graph(tape);
        CHECK(without_lines(to_text(tape)) == R"(%0 = variable() : float64 [2, 3] at here
%1 = full(value=2) : float64 [] at here in net.scale
%2 = multiply(%1, %0) : float64 [2, 3] at here in net.scale
%3 = multiply(%2, %2) : float64 [2, 3] at here in net.scale
%4 = sum(%3, axes=[0], keep_dims=1) : float64 [1, 3] at here in net.scale
)");
        CHECK(to_text(Tape()) == "");
    }

    TEST_CASE("derivative nodes say of which node") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        Var y = exp(x);
        gradient(y, x);
        CHECK(without_lines(to_text(tape)) == R"(%0 = variable() : float64 [] at here
%1 = exp(%0) : float64 [] at here
%2 = full(value=1) : float64 [] at here, derivative of exp %1
%3 = multiply(%2, %1) : float64 [] at here, derivative of exp %1
)");
    }

    TEST_CASE("a tape prints as dot, in nested clusters, with derivatives set apart") {
        Tape tape;
        Var y = small_graph(tape);
        gradient(exp(y), y, y);
        std::string dot = to_dot(tape);
        CHECK(without_lines(dot) == R"(digraph tape {
  node [shape=box, fontname="sans-serif", fontsize=10];
  graph [fontname="sans-serif", fontsize=10, style=rounded, color=gray];
  n0 [label="variable\nfloat64 [2, 3]", tooltip="%0 at here", shape=ellipse];
  n5 [label="exp\nfloat64 [1, 3]", tooltip="%5 at here"];
  n6 [label="multiply\nfloat64 [1, 3]", tooltip="%6 at here, derivative of exp %5", style=dashed, color=blue, fontcolor=blue];
  subgraph cluster_0 {
    label="net";
    subgraph cluster_1 {
      label="scale";
      n1 [label="full\nvalue=2\nfloat64 []", tooltip="%1 at here in net.scale", shape=ellipse];
      n2 [label="multiply\nfloat64 [2, 3]", tooltip="%2 at here in net.scale"];
      n3 [label="multiply\nfloat64 [2, 3]", tooltip="%3 at here in net.scale"];
      n4 [label="sum\naxes=[0], keep_dims=1\nfloat64 [1, 3]", tooltip="%4 at here in net.scale"];
    }
  }
  n1 -> n2;
  n0 -> n2;
  n2 -> n3;
  n2 -> n3;
  n3 -> n4;
  n4 -> n5;
  n4 -> n6 [style=dashed, color=blue];
  n5 -> n6 [style=dashed, color=blue];
}
)");
        CHECK(balance_of(dot).closed);
        CHECK(balance_of(to_dot(Tape())).closed);
    }

    TEST_CASE("each module is one cluster, inside that of its whole") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        for (int round = 0; round < 2; ++round)
            for (const char* outer : {"a", "b", "aa"}) {
                Tape::ModuleScope scope(tape, outer, Where::current());
                x = x + 1;
                Tape::ModuleScope inner(tape, "a.0", Where::current());
                x = x * 2;
            }
        std::string dot = to_dot(tape);
        CHECK(balance_of(dot).closed);
        CHECK(balance_of(dot).opened == 1 + 3 * 3);
        CHECK(balance_of(dot).deepest == 5);
        CHECK(count(dot, "label=\"a\";") == 4);
        CHECK(count(dot, "label=\"aa\";") == 1);
        CHECK(count(dot, "label=\"0\";") == 3);
    }

    TEST_CASE("only what the given Vars need is printed") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0)), y = x * x, z = y + x, aside = exp(y);
        CHECK(count(to_text({y}), "\n") == 2);
        CHECK(count(to_text({z}), "\n") == 3);
        CHECK(count(to_text({z, aside, y}), "\n") == 4);
        CHECK(count(to_dot({z}), "label=") == 3);
        CHECK(count(to_dot({z}), "->") == 4);
        CHECK(to_text(std::span<const Var>()) == "");
        CHECK(tape.computed(z.id()).empty());
        Tape other;
        Var stray = other.variable(Tensor(1.0));
        CHECK_THROWS_WITH_AS(to_text({x, stray}), "to_text: the variables are on two tapes", TapeError);
        CHECK_THROWS_WITH_AS(to_dot({x, stray}), "to_dot: the variables are on two tapes", TapeError);
    }

    TEST_CASE("names with quotes, backslashes and newlines are escaped in dot") {
        Tape tape;
        Var x = tape.variable(Tensor(1.0));
        Tape::ModuleScope scope(tape, "a \"quoted\\\n{name", Where::current());
        x + 1;
        std::string dot = to_dot(tape);
        CHECK(dot.find(R"(label="a \"quoted\\\n{name";)") != dot.npos);
        CHECK(balance_of(dot).closed);
    }
}

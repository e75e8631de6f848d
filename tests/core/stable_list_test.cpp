#include <cotape/core/stable_list.hpp>

#include <vector>

#include <doctest/doctest.h>

#include <cotape/core/node.hpp>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("a stable list grows without moving its elements") {
        StableList<Node> nodes;
        std::vector<const Node*> addresses;
        for (NodeId id = 0; id < 5000; ++id) {
            nodes.append().derivative_of = id;
            addresses.push_back(&nodes[static_cast<std::size_t>(id)]);
        }
        CHECK(nodes.size() == 5000);
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            REQUIRE(&nodes[i] == addresses[i]);
            REQUIRE(nodes[i].derivative_of == static_cast<NodeId>(i));
        }
    }

    TEST_CASE("a stable list that is truncated takes new elements in the place of the old") {
        StableList<Node> nodes;
        for (int i = 0; i < 100; ++i) nodes.append();
        const Node* address = &nodes[40];
        nodes.truncate(40);
        CHECK(nodes.size() == 40);
        CHECK(&nodes.append() == address);
    }
}

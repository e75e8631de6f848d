#include <cotape/core/node_list.hpp>

#include <vector>

#include <doctest/doctest.h>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("a node list grows without moving its nodes") {
        NodeList nodes;
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

    TEST_CASE("a node list that is truncated takes new nodes in the place of the old") {
        NodeList nodes;
        for (int i = 0; i < 100; ++i) nodes.append();
        const Node* address = &nodes[40];
        nodes.truncate(40);
        CHECK(nodes.size() == 40);
        CHECK(&nodes.append() == address);
    }
}

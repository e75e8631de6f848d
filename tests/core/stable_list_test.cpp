#include <cotape/core/stable_list.hpp>

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("a stable list grows without moving its elements") {
        StableList<std::string> texts;
        std::vector<const std::string*> addresses;
        for (int i = 0; i < 5000; ++i) addresses.push_back(&texts.append(std::to_string(i)));
        CHECK(texts.size() == 5000);
        for (std::size_t i = 0; i < texts.size(); ++i) {
            REQUIRE(&texts[i] == addresses[i]);
            REQUIRE(texts[i] == std::to_string(i));
        }
    }

    TEST_CASE("a stable list that is truncated takes new elements in the place of the old") {
        StableList<std::string> texts;
        for (int i = 0; i < 100; ++i) texts.append();
        const std::string* address = &texts[40];
        texts.truncate(40);
        CHECK(texts.size() == 40);
        CHECK(&texts.append() == address);
    }
}

#include <cotape/core/attributes.hpp>

#include <string>

#include <doctest/doctest.h>

#include <cotape/core/error.hpp>

using namespace cotape;

TEST_SUITE("core") {
    TEST_CASE("attributes give back what they were made of") {
        Attributes attributes{{"axis", -2}, {"keep_dims", true}, {"shape", Shape{2, 3, 4, 5, 6}}, {"slope", 0.01}};
        CHECK(attributes.integer("axis") == -2);
        CHECK(attributes.flag("keep_dims"));
        CHECK(attributes.integers("shape") == Shape{2, 3, 4, 5, 6});
        CHECK(attributes.real("slope") == 0.01);
        CHECK(attributes.has("slope"));
        CHECK_FALSE(attributes.has("slop"));
        CHECK(Attributes().empty());
    }

    TEST_CASE("attributes print as in graphs") {
        CHECK(Attributes{{"axes", Shape{0, 2}}, {"keep_dims", true}, {"slope", 0.01}}.to_string() ==
              "axes=[0, 2], keep_dims=1, slope=0.01");
        CHECK(Attributes().to_string() == "");
    }

    TEST_CASE("attributes are equal where names, kinds and values are") {
        Attributes attributes{{"axis", 1}, {"shape", Shape{2}}};
        CHECK(attributes == Attributes{{std::string("axis").c_str(), 1}, {"shape", Shape{2}}});
        CHECK_FALSE(attributes == Attributes{{"axis", 2}, {"shape", Shape{2}}});
        CHECK_FALSE(attributes == Attributes{{"axes", 1}, {"shape", Shape{2}}});
        CHECK_FALSE(attributes == Attributes{{"axis", 1}, {"shape", Shape{2, 2}}});
        CHECK_FALSE(attributes == Attributes{{"axis", 1}});
        CHECK_FALSE(Attributes{{"a", 1}} == Attributes{{"a", Shape{1}}});
        CHECK_FALSE(Attributes{{"a", Shape{1, 2}}, {"b", Shape{3}}} == Attributes{{"a", Shape{1}}, {"b", Shape{2, 3}}});
        CHECK_FALSE(Attributes{{"a", 0.0}} == Attributes{{"a", -0.0}});
    }

    TEST_CASE("equal attributes have equal hashes") {
        Attributes a{{"axis", 1}, {"slope", 0.5}}, b{{"axis", 1}, {"slope", 0.5}}, c{{"axis", 1}, {"slope", 0.25}};
        CHECK(a.hash() == b.hash());
        CHECK(a.hash() != c.hash());
    }

    TEST_CASE("a missing attribute, or one of another kind, is named with those that are there") {
        Attributes attributes{{"axis", 1}};
        CHECK_THROWS_WITH_AS(attributes.integer("axes"), "attributes: no 'axes' of the kind asked for among (axis=1)",
                             ValueError);
        CHECK_THROWS_WITH_AS(attributes.real("axis"), "attributes: no 'axis' of the kind asked for among (axis=1)",
                             ValueError);
    }
}

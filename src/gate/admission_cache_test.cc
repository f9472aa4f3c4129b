#include "gate/admission_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::gate {
namespace {

xmpp::Pair pair_with(const std::string& remote) {
  return {*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse(remote + ".example")};
}
AdmissionSource from(std::string_view ip) { return admission_source(*dns::Ip::parse(ip)); }

TEST(AdmissionCache, knows_what_it_was_told_until_it_is_cleared) {
  AdmissionCache cache;
  EXPECT_EQ(cache.find(pair_with("a")), nullptr);
  cache.note(pair_with("a"), from("198.51.100.1"), std::nullopt);
  cache.note(pair_with("b"), from("198.51.100.1"), Error{Code::kPolicyInsideName, "b"});
  ASSERT_NE(cache.find(pair_with("a")), nullptr);
  EXPECT_FALSE(*cache.find(pair_with("a")));
  ASSERT_TRUE(*cache.find(pair_with("b")));
  EXPECT_EQ((*cache.find(pair_with("b")))->code, Code::kPolicyInsideName);
  cache.note(pair_with("b"), from("198.51.100.2"), std::nullopt);
  EXPECT_FALSE(*cache.find(pair_with("b")));
  EXPECT_EQ(cache.size(), 2u);
  cache.clear();
  EXPECT_EQ(cache.find(pair_with("a")), nullptr);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(AdmissionCache, forgets_at_the_limit_what_was_used_longest_ago) {
  AdmissionCache cache(3);
  for (const auto* name : {"a", "b", "c"}) cache.note(pair_with(name), from("198.51.100.1"), std::nullopt);
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_NE(cache.find(pair_with("a")), nullptr);  // used
  cache.note(pair_with("d"), from("198.51.100.1"), std::nullopt);
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_EQ(cache.find(pair_with("b")), nullptr);
  for (const auto* name : {"a", "c", "d"}) EXPECT_NE(cache.find(pair_with(name)), nullptr) << name;
}

TEST(AdmissionCache, a_source_that_floods_it_forgets_its_own_answers) {
  AdmissionCache cache(100);
  for (int i = 0; i < 10; ++i)
    cache.note(pair_with("good" + std::to_string(i)), from("198.51.100.1"), std::nullopt);
  for (int i = 0; i < 10'000; ++i)
    cache.note(pair_with("flood" + std::to_string(i)), from("2001:db8::" + std::to_string(i % 9 + 1)),
               std::nullopt);
  EXPECT_EQ(cache.size(), 100u);
  for (int i = 0; i < 10; ++i) EXPECT_NE(cache.find(pair_with("good" + std::to_string(i))), nullptr) << i;
}

TEST(AdmissionCache, an_ipv6_source_is_a_network_of_64_bits) {
  EXPECT_EQ(from("2001:db8:0:1::1"), from("2001:db8:0:1:ffff::2"));
  EXPECT_NE(from("2001:db8:0:1::1"), from("2001:db8:0:2::1"));
  EXPECT_NE(from("198.51.100.1"), from("198.51.100.2"));
}

}  // namespace
}  // namespace sallyport::gate

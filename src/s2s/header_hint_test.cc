#include "s2s/header_hint.h"

#include <gtest/gtest.h>

#include <random>

#include "base/limits.h"

namespace sallyport::s2s {
namespace {

const std::string kHeader =
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback'\n"
    "  xmlns:stream='http://etherx.jabber.org/streams' from='Remote.Example.' to = \"local.example\" "
    "version='1.0'>";

TEST(HeaderHint, is_the_domain_that_the_header_names) {
  const struct {
    std::string bytes;
    std::string from;
  } cases[] = {
      {kHeader, "remote.example"},
      {" \r\n<stream:stream from='a.example'", "a.example"},
      {"<s:stream to='b.example' from=\"a.example\"", "a.example"},
      {"<stream from\n=\n'a.example'", "a.example"},
      // Input that it does not understand gives no hint.
      {"<stream:stream>", ""},
      {"<stream:stream to='b.example'>", ""},
      {"<stream:stream to='b.example'/>", ""},
      {"<stream:stream xfrom='a.example' from:x='a.example'>", ""},
      {"<stream:stream a='from=' b=' from=\"x.example\" '>", ""},
      {"<stream:stream from=a.example>", ""},
      {"<stream:stream from 'a.example'>", ""},
      {"<stream:stream from=''>", ""},
      {"<!-- from='a.example' -->", ""},
      {"hello from='a.example'", ""},
      {"<stream:stream <from='a.example'", ""},
  };
  for (const auto& one : cases) EXPECT_EQ(header_hint(one.bytes, "from"), one.from) << one.bytes;
  EXPECT_EQ(header_hint(kHeader, "to"), "local.example");
}

TEST(HeaderHint, waits_for_the_rest_at_each_byte) {
  const std::size_t known = kHeader.find("Remote.Example.'") + 16;
  for (std::size_t size = 0; size < known; ++size)
    EXPECT_FALSE(header_hint(kHeader.substr(0, size), "from")) << size;
  for (std::size_t size = known; size < kHeader.size(); ++size) {
    EXPECT_EQ(header_hint(kHeader.substr(0, size), "from"), "remote.example") << size;
  }
}

TEST(HeaderHint, waits_no_longer_than_a_header_may_be) {
  const std::string long_one(limits::kStreamHeaderBytesMax, ' ');
  EXPECT_FALSE(header_hint(long_one.substr(1), "from"));
  EXPECT_EQ(header_hint(long_one, "from"), "");
  EXPECT_EQ(header_hint(long_one + "<stream from='a.example'>", "from"), "");
}

TEST(HeaderHint, is_no_longer_than_a_domain) {
  const std::string longest(limits::kDomainBytesMax, 'a');
  EXPECT_EQ(header_hint("<stream from='" + longest + "'>", "from"), longest);
  EXPECT_EQ(header_hint("<stream from='" + longest + "a'>", "from"), "");
}

// Any bytes give an end, no more than a domain's length, and always the same for more of the same.
TEST(HeaderHint, any_bytes_are_harmless) {
  std::mt19937 random(1);
  const std::string_view pieces[] = {"<", "?",    "?>", "<?", ">", "/",        "=", "'", "\"",
                                     " ", "from", "to", "\0", "é", "from='a'", "x", "\n"};
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (std::size_t i = random() % 40; i > 0; --i) {
      if (random() % 4 == 0)
        bytes += static_cast<char>(random());
      else
        bytes += pieces[random() % std::size(pieces)];
    }
    const auto hint = header_hint(bytes, "from");
    if (!hint) continue;
    EXPECT_LE(hint->size(), limits::kDomainBytesMax);
    EXPECT_EQ(header_hint(bytes + "from='z'>", "from"), hint) << bytes;
  }
}

TEST(ShardOf, spreads_domains_evenly_and_is_the_same_everywhere) {
  for (std::size_t shards : {1U, 2U, 3U, 16U}) {
    std::vector<std::size_t> count(shards);
    for (int i = 0; i < 1600; ++i) ++count.at(shard_of("r" + std::to_string(i) + ".example", shards));
    for (const std::size_t each : count) {
      EXPECT_GT(each * shards, 1600 * 2 / 3) << shards;
      EXPECT_LT(each * shards, 1600 * 3 / 2) << shards;
    }
  }
  // Both nodes, of whatever version: SHA-256 of these begins with 8ebb9bb72a239462 and 3daab7cff97925bb.
  EXPECT_EQ(shard_of("partner.example", 16), 0x2U);
  EXPECT_EQ(shard_of("example.net", 16), 0xbU);
}

}  // namespace
}  // namespace sallyport::s2s

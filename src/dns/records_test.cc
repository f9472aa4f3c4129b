#include "dns/records.h"

#include "base/limits.h"

namespace sallyport::dns {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (int v : values) out.push_back(static_cast<char>(v));
  return out;
}

std::string label(std::size_t size) {
  return std::string(1, static_cast<char>(size)) + std::string(size, 'a');
}

const std::string kHead = bytes({0, 10, 0, 20, 0x14, 0x95});

TEST(Records, an_srv_record_is_read_with_its_target_in_lower_case) {
  const auto record = parse_srv(kHead + bytes({4, 'X', 'm', 'p', 'P', 2, 'd', 'e', 0}));
  ASSERT_TRUE(record);
  EXPECT_EQ(*record, (SrvRecord{10, 20, 5269, "xmpp.de"}));
  EXPECT_EQ(parse_srv(kHead + bytes({0}))->target, ".");
}

TEST(Records, a_malformed_srv_record_is_refused) {
  struct Row {
    const char* name;
    std::string rdata;
  };
  const Row rows[] = {
      {"empty", ""},
      {"no target", kHead},
      {"no end of the name", kHead + bytes({1, 'a'})},
      {"label past the end", kHead + bytes({5, 'a', 0})},
      {"compression pointer", kHead + bytes({0xc0, 0x0c})},
      {"reserved label type", kHead + bytes({0x41, 0})},
      {"bytes after", kHead + bytes({1, 'a', 0, 0})},
      {"bytes after the root", kHead + bytes({0, 0})},
      {"a NUL in a label", kHead + bytes({2, 'a', 0, 0})},
      {"a dot in a label", kHead + bytes({3, 'a', '.', 'b', 0})},
      {"a space", kHead + bytes({1, ' ', 0})},
      {"UTF-8", kHead + bytes({2, 0xc3, 0xa4, 0})},
  };
  for (const auto& row : rows) EXPECT_FALSE(parse_srv(row.rdata)) << row.name;
}

TEST(Records, every_prefix_of_an_srv_record_is_refused) {
  const auto whole = kHead + bytes({4, 'x', 'm', 'p', 'p', 2, 'd', 'e', 0});
  for (std::size_t cut = 0; cut < whole.size(); ++cut) EXPECT_FALSE(parse_srv(whole.substr(0, cut))) << cut;
}

TEST(Records, a_label_has_63_bytes_at_most_and_a_name_253) {
  EXPECT_TRUE(parse_host(label(63) + bytes({0})));
  EXPECT_FALSE(parse_host(label(64) + bytes({0})));
  const auto three = label(63) + label(63) + label(63);
  EXPECT_EQ(parse_host(three + label(61) + bytes({0}))->size(), limits::kDomainBytesMax);
  EXPECT_FALSE(parse_host(three + label(62) + bytes({0})));
}

TEST(Records, an_address_record_has_the_size_of_its_family) {
  EXPECT_EQ(parse_address(RecordType::kA, bytes({192, 0, 2, 1}))->text(), "192.0.2.1");
  EXPECT_FALSE(parse_address(RecordType::kA, bytes({192, 0, 2})));
  EXPECT_FALSE(parse_address(RecordType::kA, bytes({192, 0, 2, 1, 0})));
  const auto mapped = bytes({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1});
  EXPECT_TRUE(parse_address(RecordType::kAaaa, mapped)->is_v4());
  EXPECT_FALSE(parse_address(RecordType::kAaaa, mapped.substr(1)));
  EXPECT_FALSE(parse_address(RecordType::kSrv, bytes({192, 0, 2, 1})));
}

}  // namespace
}  // namespace sallyport::dns

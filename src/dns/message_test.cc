#include "dns/message.h"

#include "base/limits.h"

namespace sallyport::dns {
namespace {

using namespace std::string_literals;

Name name(std::string_view text) { return *Name::parse(text); }

Message query(std::string_view asked, RecordType type) {
  Message m;
  m.id = 0x1234;
  m.flags = kRecursionDesired;
  m.questions.push_back({name(asked), static_cast<std::uint16_t>(type), 1});
  return m;
}

Record opt(std::uint16_t bytes_max, std::uint32_t flags) { return {Name(), 41, bytes_max, flags, {}}; }

TEST(DnsName, text_and_wire_are_one_name) {
  EXPECT_EQ(name("a.Example").wire(),
            "\x01"s
            "a\x07"
            "Example\x00"s);
  EXPECT_EQ(name("a.Example.").text(), "a.Example");
  EXPECT_EQ(name(".").wire(), "\0"s);
  EXPECT_EQ(name("").text(), ".");
  EXPECT_TRUE(name("A.eXAMPLE").is_same(name("a.example")));
  EXPECT_FALSE(name("a.example") == name("A.example"));
  EXPECT_FALSE(name("a.example").is_same(name("b.example")));
  EXPECT_FALSE(name("a.example").is_same(name("a.example.net")));
}

TEST(DnsName, unusual_bytes_are_escaped) {
  std::size_t at = 0;
  EXPECT_EQ(Name::read("\x04"
                       "a.\\\n\0"s,
                       at)
                ->text(),
            "a\\.\\\\\\010");
}

TEST(DnsName, a_name_has_255_bytes_at_most) {
  const std::string label(63, 'a');
  const auto longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  EXPECT_EQ(name(longest).wire().size(), 255U);
  EXPECT_FALSE(Name::parse(longest + "a"));
  EXPECT_FALSE(Name::parse(std::string(64, 'a')));
  const auto wire = name(longest).wire();
  std::size_t at = 0;
  EXPECT_TRUE(Name::read(wire, at));
  EXPECT_EQ(at, 255U);
  at = 0;
  auto longer = wire;
  longer[192] = 62;
  longer.insert(193, "b");
  EXPECT_FALSE(Name::read(longer, at));
}

TEST(DnsName, malformed_text_is_refused) {
  for (const char* text : {"..", ".a", "a..b", "a.."}) EXPECT_FALSE(Name::parse(text)) << text;
}

TEST(DnsName, a_pointer_leads_back_or_nowhere) {
  struct Row {
    const char* name;
    std::string message;
    std::size_t at;
    const char* expected;  // nullptr: rejected
    std::size_t behind;
  };
  const Row rows[] = {
      {"plain",
       "\x01"
       "a\0"s,
       0, "a", 3},
      {"to a name",
       "\x01"
       "a\0\x01"
       "b\xc0\0"s,
       3, "b.a", 7},
      {"two in a row",
       "\x01"
       "a\0\xc0\0\xc0\x03"s,
       5, "a", 7},
      {"to itself", "\xc0\0"s, 0, nullptr, 0},
      {"to its own label",
       "\x01"
       "a\xc0\0"s,
       0, nullptr, 0},
      {"forward",
       "\xc0\x02\x01"
       "a\0"s,
       0, nullptr, 0},
      {"a loop of two", "\0\0\xc0\x04\xc0\x02"s, 4, nullptr, 0},
      {"cut",
       "\x01"
       "a\0\xc0"s,
       3, nullptr, 0},
      {"no end",
       "\x01"
       "a"s,
       0, nullptr, 0},
      {"label past the end",
       "\x05"
       "a\0"s,
       0, nullptr, 0},
      {"label type 01",
       "\x41"
       "a\0"s,
       0, nullptr, 0},
      {"label type 10",
       "\x81"
       "a\0"s,
       0, nullptr, 0},
      {"nothing", ""s, 0, nullptr, 0},
  };
  for (const auto& row : rows) {
    std::size_t at = row.at;
    const auto read = Name::read(row.message, at);
    ASSERT_EQ(read.has_value(), row.expected != nullptr) << row.name;
    if (!read) continue;
    EXPECT_EQ(read->text(), row.expected) << row.name;
    EXPECT_EQ(at, row.behind) << row.name;
  }
}

TEST(DnsMessage, what_is_built_is_read_back) {
  auto m = query("_xmpp-server._tcp.Partner.example", RecordType::kSrv);
  m.flags |= kResponse;
  m.answers.push_back({m.questions[0].name, 33, 1, 30,
                       "\0\0\0\0\x14\x95\x04"
                       "core\0"s});
  m.answers.push_back({name("_XMPP-server._tcp.partner.example"), 33, 1, 30, "x"});
  m.authority.push_back({name("."), 6, 1, 30, ""});
  m.additional.push_back(opt(1232, 0x8000));
  const auto bytes = m.build();
  const auto read = Message::parse(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, m);
  EXPECT_EQ(bytes.find("Partner"), bytes.rfind("Partner")) << "the owner is a pointer";
}

TEST(DnsMessage, every_prefix_is_refused_and_so_is_a_byte_more) {
  auto m = query("a.example", RecordType::kA);
  m.answers.push_back({m.questions[0].name, 1, 1, 30, "\x0a\0\0\x01"s});
  m.additional.push_back(opt(1232, 0));
  const auto bytes = m.build();
  for (std::size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(Message::parse(bytes.substr(0, cut))) << cut;
  EXPECT_FALSE(Message::parse(bytes + "x"));
}

TEST(DnsMessage, a_message_has_65535_bytes_at_most) {
  auto m = query("a.example", RecordType::kA);
  const auto rest = limits::kDnsMessageBytesMax - m.build().size() - 12;
  m.answers.push_back({m.questions[0].name, 1, 1, 30, std::string(rest, 'x')});
  EXPECT_EQ(m.build().size(), limits::kDnsMessageBytesMax);
  EXPECT_TRUE(Message::parse(m.build()));
  m.answers[0].rdata += 'x';
  EXPECT_FALSE(Message::parse(m.build()));
}

TEST(DnsMessage, opt_is_found_and_checked) {
  auto m = query("a.example", RecordType::kA);
  EXPECT_EQ((*edns_of(m)).has_value(), false);
  m.additional.push_back(opt(4096, 0x00018000));
  const auto edns = **edns_of(m);
  EXPECT_EQ(edns.udp_bytes_max, 4096);
  EXPECT_EQ(edns.version, 1);
  EXPECT_TRUE(edns.dnssec_ok);
  m.additional.push_back(opt(4096, 0));
  EXPECT_FALSE(edns_of(m)) << "two of them";
  m.additional.erase(m.additional.begin());
  m.additional[0].name = name("a");
  EXPECT_FALSE(edns_of(m)) << "not the root's";
}

TEST(DnsMessage, a_datagram_is_never_smaller_than_512_nor_larger_than_ours) {
  EXPECT_EQ(datagram_bytes_max(std::nullopt), 512U);
  EXPECT_EQ(datagram_bytes_max(Edns{100, 0, false}), 512U);
  EXPECT_EQ(datagram_bytes_max(Edns{1000, 0, false}), 1000U);
  EXPECT_EQ(datagram_bytes_max(Edns{4096, 0, false}), limits::kDnsDatagramBytesMax);
}

TEST(DnsMessage, a_head_is_read_without_the_rest) {
  const auto bytes = query("a.example", RecordType::kA).build() + "whatever";
  const auto head = parse_head(bytes);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->id, 0x1234);
  EXPECT_EQ(head->question->name.text(), "a.example");
  EXPECT_FALSE(parse_head(bytes.substr(0, 11)));
  EXPECT_FALSE(parse_head(bytes.substr(0, 13)));
  EXPECT_FALSE(parse_head(std::string(12, '\0'))->question);
}

}  // namespace
}  // namespace sallyport::dns

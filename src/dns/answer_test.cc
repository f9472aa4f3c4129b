#include "dns/answer.h"

#include "base/limits.h"

namespace sallyport::dns {
namespace {

using namespace std::string_literals;

Answering answering(std::vector<Ip> addresses = {*Ip::parse("10.0.0.5")}) {
  return {*xmpp::Domain::parse("core.corp.example"), 5269, std::move(addresses),
          [](const xmpp::Domain& domain) {
            if (domain.ascii() == "chatroom1.example.com") return NameKind::kRenamedAlias;
            const bool inside = domain.ascii() == "example.com" || domain.ascii().ends_with(".corp.example");
            return inside ? NameKind::kInternal : NameKind::kExternal;
          }};
}

Message query(const std::string& name, RecordType type) {
  Message m;
  m.id = 7;
  m.flags = kRecursionDesired;
  m.questions.push_back({*Name::parse(name), static_cast<std::uint16_t>(type), 1});
  return m;
}

std::string shown(const std::optional<Message>& m) {
  if (!m) return "upstream";
  std::string out;
  for (const auto& record : m->answers) {
    out += fmt::format("{} {} ", record.name.text(), record.ttl_s);
    if (record.type == 33) {
      const auto srv = *parse_srv(record.rdata);
      out += fmt::format("SRV {} {} {} {}; ", srv.priority, srv.weight, srv.port, srv.target);
    } else {
      out += parse_address(static_cast<RecordType>(record.type), record.rdata)->text() + "; ";
    }
  }
  for (const auto& record : m->authority) out += fmt::format("SOA {} {}; ", record.name.text(), record.ttl_s);
  return out;
}

TEST(Answer, each_question_is_answered_or_goes_upstream) {
  using enum RecordType;
  struct Row {
    const char* name;
    RecordType type;
    const char* expected;
  };
  const Row rows[] = {
      {"_xmpp-server._tcp.partner.example", kSrv,
       "_xmpp-server._tcp.partner.example 30 SRV 0 0 5269 core.corp.example; "},
      {"_XMPP-Server._TCP.Partner.Example", kSrv,
       "_XMPP-Server._TCP.Partner.Example 30 SRV 0 0 5269 core.corp.example; "},
      {"_xmpp-server._tcp.chatroom1.example.com", kSrv,
       "_xmpp-server._tcp.chatroom1.example.com 30 SRV 0 0 5269 core.corp.example; "},
      {"_xmpps-server._tcp.partner.example", kSrv, "SOA _xmpps-server._tcp.partner.example 30; "},
      {"_xmpps-server._tcp.chatroom1.example.com", kSrv, "SOA _xmpps-server._tcp.chatroom1.example.com 30; "},
      {"_xmpp-server._tcp.example.com", kSrv, "upstream"},
      {"_xmpps-server._tcp.example.com", kSrv, "upstream"},
      {"_xmpp-server._tcp.prosody.corp.example", kSrv, "upstream"},
      {"_xmpp-server._tcp.core.corp.example", kSrv, "upstream"},
      {"_xmpp-server._tcp.partner.example", kA, "upstream"},
      {"_xmpp-client._tcp.partner.example", kSrv, "upstream"},
      {"_xmpp-server._udp.partner.example", kSrv, "upstream"},
      {"_xmpp-server._tcp", kSrv, "upstream"},
      {"_xmpp-server._tcp.not_a_domain", kSrv, "upstream"},
      {"partner.example", kSrv, "upstream"},
      {"partner.example", kA, "upstream"},
      {"core.corp.example", kA, "core.corp.example 30 10.0.0.5; "},
      {"CORE.corp.example", kA, "CORE.corp.example 30 10.0.0.5; "},
      {"core.corp.example", kAaaa, "SOA core.corp.example 30; "},
      {"core.corp.example", kSoa, "upstream"},
      {"x.core.corp.example", kA, "upstream"},
      {".", kA, "upstream"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(shown(answer(query(row.name, row.type), answering())), row.expected) << row.name;
  }
}

TEST(Answer, the_core_has_addresses_of_both_families_or_none) {
  const auto both = answering({*Ip::parse("10.0.0.5"), *Ip::parse("fd00::5"), *Ip::parse("10.0.0.6")});
  EXPECT_EQ(shown(answer(query("core.corp.example", RecordType::kA), both)),
            "core.corp.example 30 10.0.0.5; core.corp.example 30 10.0.0.6; ");
  EXPECT_EQ(shown(answer(query("core.corp.example", RecordType::kAaaa), both)),
            "core.corp.example 30 fd00::5; ");
  EXPECT_EQ(shown(answer(query("core.corp.example", RecordType::kA), answering({}))), "upstream");
}

TEST(Answer, another_class_goes_upstream) {
  auto chaos = query("_xmpp-server._tcp.partner.example", RecordType::kSrv);
  chaos.questions[0].class_ = 3;
  EXPECT_EQ(shown(answer(chaos, answering())), "upstream");
}

TEST(Answer, the_header_is_echoed) {
  auto asked = query("_xmpp-server._tcp.partner.example", RecordType::kSrv);
  asked.flags |= kCheckingDisabled | 0x0020;  // AD is not
  const auto m = *answer(asked, answering());
  EXPECT_EQ(m.id, 7);
  EXPECT_EQ(m.flags, kResponse | kRecursionDesired | kRecursionAvailable | kCheckingDisabled);
  EXPECT_EQ(m.questions, asked.questions);
  EXPECT_TRUE(m.additional.empty()) << "no OPT when there was none";
}

TEST(Answer, opt_is_answered_with_opt) {
  auto asked = query("_xmpp-server._tcp.partner.example", RecordType::kSrv);
  asked.additional.push_back({Name(), 41, 4096, 0x8000, "option"});
  const auto m = *answer(asked, answering());
  ASSERT_EQ(m.additional.size(), 1U);
  EXPECT_EQ(m.additional[0], (Record{Name(), 41, limits::kDnsDatagramBytesMax, 0x8000, ""}));
}

TEST(Answer, what_is_no_proper_query_is_refused) {
  const auto good = query("partner.example", RecordType::kA);
  struct Row {
    const char* name;
    Message message;
    Rcode rcode;
  };
  auto status = good;
  status.flags |= 2 << 11;
  auto none = good;
  none.questions.clear();
  auto two = good;
  two.questions.push_back(two.questions[0]);
  auto two_opts = good;
  two_opts.additional.assign(2, {Name(), 41, 4096, 0, ""});
  const Row rows[] = {
      {"another opcode", status, Rcode::kNotImp},
      {"no question", none, Rcode::kFormErr},
      {"two questions", two, Rcode::kFormErr},
      {"two OPT records", two_opts, Rcode::kFormErr},
  };
  for (const auto& row : rows) {
    const auto m = answer(row.message, answering());
    ASSERT_TRUE(m) << row.name;
    EXPECT_EQ(m->flags & kRcodeMask, static_cast<int>(row.rcode)) << row.name;
    EXPECT_NE(m->flags & kResponse, 0) << row.name;
  }
  auto version = good;
  version.additional.push_back({Name(), 41, 4096, 0x00010000, ""});
  EXPECT_EQ(answer(version, answering())->additional.at(0).ttl_s, 0x01000000U) << "BADVERS";
}

TEST(Answer, a_response_is_not_answered) {
  auto m = query("_xmpp-server._tcp.partner.example", RecordType::kSrv);
  m.flags |= kResponse;
  EXPECT_FALSE(answer(m, answering()));
}

TEST(Answer, a_datagram_that_is_too_small_is_truncated) {
  auto asked = query("_xmpp-server._tcp.partner.example", RecordType::kSrv);
  asked.additional.push_back({Name(), 41, 512, 0, ""});
  const auto m = *answer(asked, answering());
  const auto whole = m.build();
  EXPECT_EQ(build_datagram(m, whole.size()), whole);
  const auto cut = *Message::parse(build_datagram(m, whole.size() - 1));
  EXPECT_NE(cut.flags & kTruncated, 0);
  EXPECT_TRUE(cut.answers.empty());
  EXPECT_EQ(cut.questions, asked.questions);
  EXPECT_EQ(cut.additional.size(), 1U);
}

TEST(Answer, a_refusal_needs_no_more_than_a_header) {
  const auto m = refusal(Head{9, kRecursionDesired, std::nullopt}, Rcode::kRefused);
  EXPECT_EQ(m.build(), "\0\x09\x81\x85\0\0\0\0\0\0\0\0"s);
}

}  // namespace
}  // namespace sallyport::dns

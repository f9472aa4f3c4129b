#include "net/resolver.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_future.hpp>

#include "base/limits.h"
#include "net/nsd_for_test.h"

namespace sallyport::net {
namespace {

using Clock = Resolver::Questions::Clock;
using dns::LookupOutcome;
using dns::RecordType;

constexpr const char* kZone = R"(
_xmpp-server._tcp.partner.test.    SRV 10 20 5269 XMPP.Partner.test.
_xmpp-server._tcp.partner.test.    SRV 0 5 5270 b.partner.test.
_xmpp-server._tcp.closed.example.  SRV 0 0 0 .
_xmpp-server._tcp.alias.example.   CNAME _xmpp-server._tcp.partner.test.
_xmpp-server._tcp.odd.example.     SRV 0 0 5269 a\032b.example.
_xmpp-server._tcp.odd.example.     SRV 0 0 5269 good.example.
_xmpp-server._tcp.onlyodd.example. SRV 0 0 5269 a\032b.example.
_tcp.empty.example.                TXT "no SRV below"
_xmpp-server._tcp.empty.example.   TXT "no SRV here"
loop-a.example.                    CNAME loop-b.example.
loop-b.example.                    CNAME loop-a.example.
two.example.                       A 192.0.2.1
two.example.                       A 192.0.2.2
two.example.                       AAAA 2001:db8::1
mapped.example.                    AAAA ::ffff:10.0.0.1
cname.example.                     CNAME two.example.
)";

class ResolverTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string zone = kZone;
    for (std::size_t i = 0; i < limits::kSrvRecordsMax; ++i) {
      zone += fmt::format("_xmpp-server._tcp.many.example. SRV {0} 0 5269 h{0}.example.\n", i);
      zone += fmt::format("_xmpp-server._tcp.toomany.example. SRV {0} 0 5269 h{0}.example.\n", i);
    }
    zone += "_xmpp-server._tcp.toomany.example. SRV 99 0 5269 more.example.\n";
    for (std::size_t i = 1; i <= limits::kAddressesPerTargetMax; ++i) {
      zone += fmt::format("many.example. A 192.0.2.{0}\ntoomany.example. A 192.0.2.{0}\n", i);
    }
    zone += "toomany.example. A 192.0.2.99\n";
    nsd_ = new Nsd(zone);
  }
  static void TearDownTestSuite() {
    delete nsd_;
    nsd_ = nullptr;
  }

  void SetUp() override { ask_at(nsd_->port()); }

  void ask_at(std::uint16_t port) {
    ResolverSetup setup;
    setup.servers = {{"127.0.0.1", port, true}};
    resolver_ = *Resolver::make(io_.get_executor(), setup);
  }

  static asio::awaitable<void> ask_all(Resolver::Questions& questions) { co_await questions.wait_all(); }

  void finish(Resolver::Questions& questions) {
    auto done = asio::co_spawn(io_, ask_all(questions), asio::use_future);
    io_.restart();
    io_.run();
    done.get();
  }

  dns::SrvAnswer srv(const std::string& domain, Clock::duration within = limits::kDnsTimeout) {
    Resolver::Questions questions(*resolver_);
    questions.ask("_xmpp-server._tcp." + domain, RecordType::kSrv, Clock::now() + within);
    finish(questions);
    return questions.srv(0);
  }
  dns::AddressAnswer addresses(const std::string& host, RecordType type) {
    Resolver::Questions questions(*resolver_);
    questions.ask(host, type, Clock::now() + limits::kDnsTimeout);
    finish(questions);
    return questions.addresses(0);
  }

  static inline Nsd* nsd_ = nullptr;
  asio::io_context io_;
  std::shared_ptr<Resolver> resolver_;
};

TEST_F(ResolverTest, srv_records_come_with_lower_case_targets) {
  auto answer = srv("partner.test");
  EXPECT_EQ(answer.outcome, LookupOutcome::kFound);
  EXPECT_FALSE(answer.secure);
  std::ranges::sort(answer.records);
  EXPECT_EQ(answer.records, (std::vector<dns::SrvRecord>{{0, 5, 5270, "b.partner.test"},
                                                         {10, 20, 5269, "xmpp.partner.test"}}));
}

TEST_F(ResolverTest, each_kind_of_answer_is_told_apart) {
  struct Row {
    const char* domain;
    LookupOutcome outcome;
    std::size_t records;
  };
  const Row rows[] = {
      {"closed.example", LookupOutcome::kFound, 1},
      {"alias.example", LookupOutcome::kFound, 2},
      {"odd.example", LookupOutcome::kFound, 1},
      {"onlyodd.example", LookupOutcome::kFailure, 0},
      {"empty.example", LookupOutcome::kNoData, 0},
      {"nobody.example", LookupOutcome::kNoName, 0},
      {"broken.example", LookupOutcome::kFailure, 0},
      {"many.example", LookupOutcome::kFound, limits::kSrvRecordsMax},
      {"toomany.example", LookupOutcome::kFound, limits::kSrvRecordsMax},
  };
  for (const auto& row : rows) {
    const auto answer = srv(row.domain);
    EXPECT_EQ(dns::outcome_name(answer.outcome), dns::outcome_name(row.outcome)) << row.domain;
    EXPECT_EQ(answer.records.size(), row.records) << row.domain;
  }
  EXPECT_EQ(srv("closed.example").records.at(0).target, ".");
  EXPECT_EQ(srv("many.example").text, "");
  EXPECT_EQ(srv("toomany.example").text, "1 more than are looked at; ");
}

TEST_F(ResolverTest, addresses_come_by_family) {
  struct Row {
    const char* host;
    RecordType type;
    LookupOutcome outcome;
    std::size_t ips;
  };
  const Row rows[] = {
      {"two.example", RecordType::kA, LookupOutcome::kFound, 2},
      {"two.example", RecordType::kAaaa, LookupOutcome::kFound, 1},
      {"cname.example", RecordType::kA, LookupOutcome::kFound, 2},
      {"mapped.example", RecordType::kAaaa, LookupOutcome::kFound, 1},
      {"mapped.example", RecordType::kA, LookupOutcome::kNoData, 0},
      {"loop-a.example", RecordType::kA, LookupOutcome::kFailure, 0},
      {"none.example", RecordType::kA, LookupOutcome::kNoName, 0},
      {"many.example", RecordType::kA, LookupOutcome::kFound, limits::kAddressesPerTargetMax},
      {"toomany.example", RecordType::kA, LookupOutcome::kFound, limits::kAddressesPerTargetMax},
  };
  for (const auto& row : rows) {
    const auto answer = addresses(row.host, row.type);
    EXPECT_EQ(dns::outcome_name(answer.outcome), dns::outcome_name(row.outcome)) << row.host;
    EXPECT_EQ(answer.ips.size(), row.ips) << row.host;
  }
}

TEST_F(ResolverTest, many_questions_are_under_way_at_once) {
  Resolver::Questions questions(*resolver_);
  for (int i = 0; i < 200; ++i) {
    questions.ask(fmt::format("h{}.none.example", i), RecordType::kA, Clock::now() + limits::kDnsTimeout);
  }
  finish(questions);
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(questions.addresses(i).outcome, LookupOutcome::kNoName);
}

// A zone whose answers are all signed, with one record that was altered afterwards.
class SignedZoneTest : public ResolverTest {
 protected:
  static void SetUpTestSuite() {
    nsd_ = Nsd::signed_zone(
               "_xmpp-server._tcp.good.example. SRV 0 0 5269 x.good.example.\n"
               "_xmpp-server._tcp.bad.example. SRV 0 0 5269 y.bad.example.\n",
               "5269.y.bad.example", "5270 y.bad.example")
               .release();
  }
  void SetUp() override {}

  void trust(std::vector<std::string> insecure, bool anchor = true) {
    ResolverSetup setup;
    setup.servers = {{"127.0.0.1", nsd_->port(), true}};
    if (anchor) setup.trust_anchor = nsd_->anchor();
    setup.insecure = std::move(insecure);
    resolver_ = *Resolver::make(io_.get_executor(), setup);
  }
  // "found secure" and the like.
  std::string said(const std::string& domain) {
    const auto answer = srv(domain);
    return std::string(dns::outcome_name(answer.outcome)) + (answer.secure ? " secure" : "");
  }
};

TEST_F(SignedZoneTest, with_an_anchor_answers_are_secure_or_bogus) {
  trust({});
  EXPECT_EQ(said("good.example"), "found secure");
  EXPECT_EQ(said("bad.example"), "bogus");
  EXPECT_EQ(said("nobody.example"), "no such name secure");
}

TEST_F(SignedZoneTest, below_an_insecure_name_nothing_is_validated) {
  trust({"bad.example"});
  EXPECT_EQ(said("bad.example"), "found");
  EXPECT_EQ(said("good.example"), "found secure");
}

TEST_F(SignedZoneTest, without_an_anchor_every_answer_is_insecure) {
  trust({}, false);
  EXPECT_EQ(said("good.example"), "found");
  EXPECT_EQ(said("bad.example"), "found");
  EXPECT_EQ(said("nobody.example"), "no such name");
}

class SilentServerTest : public ResolverTest {
 protected:
  // Accepts questions and never answers.
  asio::ip::udp::socket silent_{io_, asio::ip::udp::endpoint(asio::ip::make_address("127.0.0.1"), 0)};
  void SetUp() override { ask_at(silent_.local_endpoint().port()); }
};

TEST_F(SilentServerTest, a_question_fails_at_its_deadline) {
  const auto begin = Clock::now();
  const auto answer = srv("partner.test", std::chrono::milliseconds(200));
  EXPECT_EQ(answer.outcome, LookupOutcome::kFailure);
  EXPECT_EQ(answer.text, "no answer in time");
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(2));
}

TEST_F(SilentServerTest, a_question_more_than_the_limit_fails_at_once) {
  Resolver::Questions questions(*resolver_);
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  for (std::size_t i = 0; i <= limits::kDnsQuestionsMax; ++i) {
    questions.ask(fmt::format("h{}.example", i), RecordType::kA, deadline);
  }
  EXPECT_FALSE(questions.is_done(limits::kDnsQuestionsMax - 1));
  EXPECT_TRUE(questions.is_done(limits::kDnsQuestionsMax));
}

TEST_F(SilentServerTest, a_zone_has_its_share_of_the_questions_and_not_one_more) {
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  // Two domains of one zone: their questions count together.
  Resolver::Questions first(*resolver_, "a.zone.example");
  Resolver::Questions second(*resolver_, "b.zone.example");
  for (std::size_t i = 0; i < limits::kDnsQuestionsPerZoneMax; ++i) {
    (i % 2 == 0 ? first : second).ask(fmt::format("h{}.elsewhere.example", i), RecordType::kA, deadline);
  }
  const auto one_past = first.ask("late.elsewhere.example", RecordType::kA, deadline);
  EXPECT_TRUE(first.is_done(one_past));
  EXPECT_FALSE(first.is_done(one_past - 1));
  EXPECT_EQ(first.addresses(one_past).text, "too many questions are under way for zone.example");
  Resolver::Questions other(*resolver_, "other.example");
  EXPECT_FALSE(other.is_done(other.ask("host.other.example", RecordType::kA, deadline)));
}

TEST_F(SilentServerTest, when_all_places_are_taken_the_zone_with_most_gives_up_its_oldest_question) {
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  std::vector<std::unique_ptr<Resolver::Questions>> zones;
  constexpr std::size_t kZones = limits::kDnsQuestionsMax / limits::kDnsQuestionsPerZoneMax;
  for (std::size_t zone = 0; zone < kZones; ++zone) {
    zones.push_back(std::make_unique<Resolver::Questions>(*resolver_, fmt::format("z{}.example", zone)));
    // Those of one zone are of several names, so that libunbound has as many under way.
    for (std::size_t i = 0; i < limits::kDnsQuestionsPerZoneMax; ++i)
      zones.back()->ask(fmt::format("h{}.z{}.example", i, zone), RecordType::kA, deadline);
  }
  Resolver::Questions newcomer(*resolver_, "partner.test");
  EXPECT_FALSE(newcomer.is_done(newcomer.ask("host.partner.test", RecordType::kA, deadline)));
  EXPECT_TRUE(zones[0]->is_done(0));
  EXPECT_FALSE(zones[0]->is_done(1));
  EXPECT_EQ(zones[0]->addresses(0).outcome, LookupOutcome::kFailure);
  // All are equal except the new one and the one that lost: the others cannot displace each other.
  zones.erase(zones.begin());
  Resolver::Questions again(*resolver_, "partner.test");
  EXPECT_FALSE(again.is_done(again.ask("host2.partner.test", RecordType::kA, deadline)));
  EXPECT_FALSE(zones[0]->is_done(0));
}

TEST_F(SilentServerTest, a_cancelled_wait_leaves_no_question_behind) {
  asio::cancellation_signal signal;
  bool cancelled = false;
  {
    Resolver::Questions questions(*resolver_);
    questions.ask("partner.test", RecordType::kA, Clock::now() + limits::kDnsTimeout);
    asio::co_spawn(
        io_, ask_all(questions),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { cancelled = e != nullptr; }));
    asio::steady_timer soon(io_, std::chrono::milliseconds(50));
    soon.async_wait([&](auto) { signal.emit(asio::cancellation_type::terminal); });
    io_.run_for(std::chrono::milliseconds(200));
  }
  EXPECT_TRUE(cancelled);
  // Nothing is under way, so nothing keeps the executor busy.
  io_.restart();
  const auto begin = Clock::now();
  io_.run();
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(1));
}

TEST(Resolver, what_cannot_be_used_is_refused_when_it_is_made) {
  asio::io_context io;
  ResolverSetup name;
  name.servers = {{"dns.example", 53, false}};
  EXPECT_EQ(Resolver::make(io.get_executor(), name).error().code, Code::kConfigValue);
  ResolverSetup anchor;
  anchor.trust_anchor = "/nonexistent/root.key";
  anchor.servers = {{"127.0.0.1", 53, true}};
  const auto made = Resolver::make(io.get_executor(), anchor);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kFileUnreadable);
}

}  // namespace
}  // namespace sallyport::net

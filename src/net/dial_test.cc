#include "net/dial.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include "base/limits.h"
#include "net/dial_explain.h"
#include "net/nsd_for_test.h"

namespace sallyport::net {
namespace {

using namespace std::chrono_literals;

class Counting : public Random {
 public:
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = next_++;
  }

 private:
  std::uint8_t next_ = 0;
};

// A listener on a loopback address, and a port without a listener.
class Listener {
 public:
  Listener(asio::io_context& io, const char* ip, std::uint16_t port)
      : acceptor_(io, tcp::endpoint(asio::ip::make_address(ip), port)) {}
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  tcp::acceptor acceptor_;
};

constexpr const char* kZone = R"(
_xmpp-server._tcp.good.example.      SRV 0 0 {0} one.example.
_xmpps-server._tcp.tls.example.      SRV 0 0 {0} one.example.
_xmpps-server._tcp.notls.example.    SRV 0 0 0 .
_xmpp-server._tcp.notls.example.     SRV 0 0 {0} one.example.
_xmpps-server._tcp.first.example.    SRV 1 0 {0} one.example.
_xmpp-server._tcp.first.example.     SRV 2 0 {0} one.example.
_xmpp-server._tcp.dead.example.      SRV 1 0 {1} one.example.
_xmpp-server._tcp.dead.example.      SRV 2 0 {0} two.example.
_xmpp-server._tcp.alldead.example.   SRV 1 0 {1} one.example.
_xmpp-server._tcp.alias.example.     SRV 0 0 {0} cname.example.
_xmpp-server._tcp.closed.example.    SRV 0 0 0 .
_xmpps-server._tcp.closed.example.   SRV 0 0 0 .
_xmpp-server._tcp.port.example.      SRV 0 0 22 one.example.
_xmpp-server._tcp.private.example.   SRV 0 0 {0} private.hosts.example.
_xmpp-server._tcp.ula.example.       SRV 0 0 {0} ula.hosts.example.
_xmpp-server._tcp.mapped.example.    SRV 0 0 {0} mapped.hosts.example.
_xmpp-server._tcp.metadata.example.  SRV 0 0 {0} metadata.hosts.example.
_xmpp-server._tcp.mixed.example.     SRV 1 0 {0} private.hosts.example.
_xmpp-server._tcp.mixed.example.     SRV 2 0 {0} one.example.
_xmpp-server._tcp.nohost.example.    SRV 0 0 {0} nothing.hosts.example.
_xmpp-server._tcp.badhost.example.   SRV 0 0 {0} x.broken.example.
_xmpp-server._tcp.families.example.  SRV 0 0 {0} families.hosts.example.
_xmpp-server._tcp.literal.example.   SRV 0 0 {0} 127.1.0.1.
fallback.example.                    A 127.1.0.1
one.example.                         A 127.1.0.1
two.example.                         A 127.1.0.2
cname.example.                       CNAME one.example.
private.hosts.example.               A 10.99.99.99
ula.hosts.example.                   AAAA fd99::1
mapped.hosts.example.                AAAA ::ffff:127.1.0.1
metadata.hosts.example.              A 169.254.169.254
families.hosts.example.              AAAA 2001:db8::1
families.hosts.example.              A 127.1.0.1
)";

class DialTest : public testing::Test {
 protected:
  void SetUp() override {
    Listener closed(io_, "127.1.0.1", 0);
    dead_port_ = closed.port();
    std::string zone = kZone;
    for (const auto& [mark, port] :
         {std::pair<std::string, std::uint16_t>{"{0}", one_.port()}, {"{1}", dead_port_}}) {
      for (auto at = zone.find(mark); at != std::string::npos; at = zone.find(mark)) {
        zone.replace(at, mark.size(), std::to_string(port));
      }
    }
    nsd_ = std::make_unique<Nsd>(zone);
    ResolverSetup setup;
    setup.servers = {{"127.0.0.1", nsd_->port(), true}};
    resolver_ = *Resolver::make(io_.get_executor(), setup);
    configure({"127.1.0.0/24"});
  }

  void configure(const std::vector<std::string>& allow) {
    DialSetup setup;
    setup.ports = {one_.port(), dead_port_};
    for (const auto& text : allow) setup.allow_networks.push_back(*config::Network::parse(text));
    dialer_ = std::make_unique<DnsDialer>(resolver_, setup, random_);
  }

  // asio requires default-constructible results; a Result is not.
  template <typename T>
  using Slot = std::optional<Result<T>>;

  static asio::awaitable<void> run(Dialer& dialer, gate::DialPlan plan, Duration time_max,
                                   Slot<Dialled>& out) {
    out.emplace(co_await dialer.dial(std::move(plan), time_max));
  }
  static asio::awaitable<void> run_race(std::vector<dns::SocketAddress> endpoints, Slot<Winner>& out) {
    out.emplace(co_await race(std::move(endpoints), {}, std::chrono::steady_clock::now() + 5s));
  }
  // Runs until the coroutine has ended, even if other work is pending.
  void finish(std::future<void> ended) {
    io_.restart();
    while (ended.wait_for(0s) != std::future_status::ready) io_.run_one_for(1s);
    ended.get();
  }

  Result<Dialled> dial(gate::DialPlan plan, Duration time_max = 5s) {
    Slot<Dialled> out;
    finish(asio::co_spawn(io_, run(*dialer_, std::move(plan), time_max, out), asio::use_future));
    return *std::move(out);
  }
  // Connections that fill the listener's backlog: it no longer answers.
  void fill(tcp::acceptor& listener) {
    listener.listen(0);
    for (int i = 0; i < 4; ++i) {
      waiting_.emplace_back(io_);
      waiting_.back().async_connect(listener.local_endpoint(), [](auto) {});
    }
    io_.restart();
    io_.run_for(50ms);
  }

  // "127.1.0.1 SRV one.example" or the name of the refusal code.
  std::string said(gate::DialPlan plan, Duration time_max = 5s) {
    const auto result = dial(std::move(plan), time_max);
    if (!result) return std::string(code_row(result.error().code).name);
    auto how = result->how;
    for (const auto port : {one_.port(), dead_port_}) {
      const auto end = fmt::format(":{}", port);
      if (how.ends_with(end)) how.resize(how.size() - end.size());
    }
    return result->peer.ip.text() + (result->direct_tls ? " TLS " : " ") + how;
  }
  std::string said(const std::string& domain) { return said(to(domain)); }

  static gate::DialPlan to(const std::string& domain) {
    gate::DialPlan plan;
    plan.dns = *xmpp::Domain::parse(domain);
    return plan;
  }
  static gate::DialPlan by(const std::string& host, std::uint16_t port, bool trusted) {
    gate::DialPlan plan;
    plan.steps.push_back({{host, port, dns::Ip::parse(host).has_value()}, trusted});
    return plan;
  }

  asio::io_context io_;
  Listener one_{io_, "127.1.0.1", 0};
  Listener two_{io_, "127.1.0.2", one_.port()};
  std::uint16_t dead_port_ = 0;
  std::unique_ptr<Nsd> nsd_;
  std::shared_ptr<Resolver> resolver_;
  Counting random_;
  std::unique_ptr<DnsDialer> dialer_;
  std::vector<tcp::socket> waiting_;
};

TEST_F(DialTest, each_zone_leads_where_rfc_6120_says_or_to_its_code) {
  struct Row {
    const char* domain;
    const char* expected;
  };
  const Row rows[] = {
      {"good.example", "127.1.0.1 SRV one.example"},
      {"tls.example", "127.1.0.1 TLS SRV (Direct TLS) one.example"},
      {"notls.example", "127.1.0.1 SRV one.example"},
      {"first.example", "127.1.0.1 TLS SRV (Direct TLS) one.example"},
      {"dead.example", "127.1.0.2 SRV two.example"},
      {"alldead.example", "dial.refused"},
      {"alias.example", "127.1.0.1 SRV cname.example"},
      {"closed.example", "dns.decline"},
      {"port.example", "dial.port"},
      {"private.example", "dial.address"},
      {"ula.example", "dial.address"},
      {"metadata.example", "dial.address"},
      {"mixed.example", "127.1.0.1 SRV one.example"},
      {"nohost.example", "dns.no-name"},
      {"badhost.example", "dns.failure"},
      {"families.example", "127.1.0.1 SRV families.hosts.example"},
      {"literal.example", "dns.no-name"},
      {"nobody.example", "dns.no-name"},
      {"broken.example", "dns.failure"},
      // No SRV record, so its address at port 5269, which has no listener.
      {"fallback.example", "dial.refused"},
  };
  for (const auto& row : rows) EXPECT_EQ(said(row.domain), row.expected) << row.domain;
}

TEST_F(DialTest, another_resolver_takes_over_and_questions_under_way_are_answered_by_the_old_one) {
  const Nsd other("one.example. A 127.1.0.1\n");
  ResolverSetup setup;
  setup.servers = {{"127.0.0.1", other.port(), true}};
  Slot<Dialled> out;
  auto ended = asio::co_spawn(io_, run(*dialer_, to("good.example"), 5s, out), asio::use_future);
  io_.restart();
  io_.poll_one();
  dialer_->use(*Resolver::make(io_.get_executor(), setup));
  const std::weak_ptr<Resolver> old = std::exchange(resolver_, nullptr);
  EXPECT_FALSE(old.expired()) << "it has questions to answer";
  finish(std::move(ended));
  ASSERT_TRUE(*out) << (*out).error().text;
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(said("good.example"), "dns.no-name") << "the new one knows nothing of it";
}

TEST_F(DialTest, nothing_special_is_dialled_when_nothing_is_allowed) {
  configure({});
  for (const char* domain : {"good.example", "mapped.example", "fallback.example", "metadata.example"}) {
    EXPECT_EQ(said(domain), "dial.address") << domain;
  }
}

TEST_F(DialTest, a_step_written_as_an_address_is_trusted_and_a_host_name_is_not) {
  configure({});
  const auto port = one_.port();
  EXPECT_EQ(said(by("127.1.0.1", port, true)), "127.1.0.1 static route 127.1.0.1");
  EXPECT_EQ(said(by("127.1.0.1", port, false)), "dial.address");
  EXPECT_EQ(said(by("one.example", port, false)), "dial.address");
  EXPECT_EQ(said(by("::ffff:127.1.0.1", port, false)), "dial.address");
  configure({"127.1.0.0/24"});
  EXPECT_EQ(said(by("one.example", port, false)), "127.1.0.1 static route one.example");
}

TEST_F(DialTest, steps_are_tried_in_order_and_dns_after_them) {
  auto plan = by("127.1.0.1", dead_port_, true);
  plan.steps.push_back({{"two.example", one_.port(), false}, false});
  EXPECT_EQ(said(plan), "127.1.0.2 static route two.example");
  plan.steps.pop_back();
  EXPECT_EQ(said(plan), "dial.refused");
  plan.dns = *xmpp::Domain::parse("good.example");
  EXPECT_EQ(said(plan), "127.1.0.1 SRV one.example");
}

TEST_F(DialTest, an_avoided_endpoint_is_gone_past) {
  auto plan = to("dead.example");
  plan.avoid.push_back({*dns::Ip::parse("127.1.0.2"), one_.port()});
  EXPECT_EQ(said(plan), "dial.refused");
  plan = by("127.1.0.1", one_.port(), true);
  plan.steps.push_back({{"127.1.0.2", one_.port(), true}, true});
  plan.avoid.push_back({*dns::Ip::parse("127.1.0.1"), one_.port()});
  EXPECT_EQ(said(plan), "127.1.0.2 static route 127.1.0.2");
}

TEST_F(DialTest, own_listeners_are_never_dialled_whoever_says_so) {
  dialer_->set_own_listeners({{*dns::Ip::parse("0.0.0.0"), one_.port()}});
  EXPECT_EQ(said("good.example"), "dial.own");
  EXPECT_EQ(said(by("127.1.0.1", one_.port(), true)), "dial.own");
}

TEST_F(DialTest, the_whole_dial_ends_in_time) {
  tcp::acceptor full(io_, tcp::endpoint(asio::ip::make_address("127.1.0.3"), 0));
  fill(full);
  const auto begin = std::chrono::steady_clock::now();
  const auto dialled = dial(by("127.1.0.3", full.local_endpoint().port(), true), 300ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  ASSERT_FALSE(dialled);
  EXPECT_EQ(dialled.error().code, Code::kDialTimeout);
}

TEST_F(DialTest, a_silent_address_does_not_hold_up_the_next) {
  tcp::acceptor full(io_, tcp::endpoint(asio::ip::make_address("127.1.0.3"), one_.port()));
  fill(full);
  std::vector<dns::SocketAddress> endpoints{{*dns::Ip::parse("127.1.0.3"), one_.port()},
                                            {*dns::Ip::parse("127.1.0.1"), one_.port()}};
  const auto begin = std::chrono::steady_clock::now();
  Slot<Winner> winner;
  finish(asio::co_spawn(io_, run_race(endpoints, winner), asio::use_future));
  const auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(*winner);
  EXPECT_EQ((*winner)->peer.ip.text(), "127.1.0.1");
  EXPECT_GE(took, limits::kConnectStagger);
  EXPECT_LT(took, limits::kConnectStagger + 1s);
}

TEST_F(DialTest, a_source_address_is_used_for_its_family) {
  DialSetup setup;
  setup.ports = {one_.port()};
  setup.allow_networks = {*config::Network::parse("127.1.0.0/24")};
  setup.bind = {*dns::Ip::parse("::1"), *dns::Ip::parse("127.1.0.77")};
  dialer_ = std::make_unique<DnsDialer>(resolver_, setup, random_);
  const auto dialled = dial(to("good.example"));
  ASSERT_TRUE(dialled);
  EXPECT_EQ(dialled->socket.local_endpoint().address().to_string(), "127.1.0.77");
}

TEST_F(DialTest, a_cancelled_dial_leaves_nothing_behind) {
  tcp::acceptor full(io_, tcp::endpoint(asio::ip::make_address("127.1.0.3"), 0));
  fill(full);
  asio::cancellation_signal signal;
  bool ended = false;
  const auto plan = by("127.1.0.3", full.local_endpoint().port(), true);
  Slot<Dialled> out;
  asio::co_spawn(io_, run(*dialer_, plan, 10s, out),
                 asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { ended = true; }));
  asio::steady_timer soon(io_, 50ms);
  soon.async_wait([&](auto) { signal.emit(asio::cancellation_type::terminal); });
  io_.run_for(500ms);
  EXPECT_TRUE(ended);
  EXPECT_FALSE(out) << "the cancelled wait throws";
}

class ExplainTest : public DialTest {
 protected:
  static asio::awaitable<void> run_explain(DnsDialer& dialer, std::string domain,
                                           std::optional<DnsExplained>& out) {
    out.emplace(co_await explain_dns(dialer, *xmpp::Domain::parse(domain)));
  }
  boost::json::object explain(const std::string& domain) {
    std::optional<DnsExplained> out;
    finish(asio::co_spawn(io_, run_explain(*dialer_, domain, out), asio::use_future));
    return to_json(*out);
  }
  static std::string at(const boost::json::object& object, std::string_view pointer) {
    boost::system::error_code absent;
    const boost::json::value whole(object);
    const auto* value = whole.find_pointer(pointer, absent);
    return value == nullptr ? "" : std::string(value->as_string());
  }
};

TEST_F(ExplainTest, every_answer_and_every_reason_is_shown) {
  struct Row {
    const char* domain;
    const char* pointer;
    const char* expected;
  };
  const Row rows[] = {
      {"good.example", "/srv/0/service", "_xmpps-server"},
      {"good.example", "/srv/0/answer", "no such name"},
      {"good.example", "/srv/1/answer", "found"},
      {"good.example", "/srv/1/records/0/target", "one.example"},
      {"good.example", "/plan/0/a", "found"},
      {"good.example", "/plan/0/aaaa", "no such record"},
      {"good.example", "/error/code", ""},
      {"port.example", "/srv/1/records/0/skipped/code", "dial.port"},
      {"port.example", "/error/code", "dial.port"},
      {"closed.example", "/srv/0/records/0/skipped/code", "dns.decline"},
      {"closed.example", "/error/code", "dns.decline"},
      {"mixed.example", "/plan/0/addresses/0/refused/code", "dial.address"},
      {"mixed.example", "/error/code", ""},
      {"private.example", "/error/code", "dial.address"},
      {"nohost.example", "/error/code", "dns.no-name"},
      {"nobody.example", "/error/code", "dns.no-name"},
      {"broken.example", "/error/code", "dns.failure"},
      {"broken.example", "/srv/1/answer", "failure"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(at(explain(row.domain), row.pointer), row.expected) << row.domain << row.pointer;
  }
  EXPECT_EQ(at(explain("mixed.example"), "/plan/1/target"), fmt::format("SRV one.example:{}", one_.port()));
}

}  // namespace
}  // namespace sallyport::net

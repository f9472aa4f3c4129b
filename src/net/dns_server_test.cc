#include "net/dns_server.h"

#include <algorithm>
#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

#include "base/limits.h"
#include "net/nsd_for_test.h"
#include "net/resolver.h"

namespace sallyport::net {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using asio::ip::udp;

class Counting : public Random {
 public:
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = next_++;
  }

 private:
  std::uint8_t next_ = 1;
};

dns::Answering answering(std::string inside) {
  return {*xmpp::Domain::parse("core.corp.example"),
          5269,
          {*dns::Ip::parse("10.0.0.5")},
          [inside = std::move(inside)](const xmpp::Domain& domain) {
            return domain.ascii() == inside ? dns::NameKind::kInternal : dns::NameKind::kExternal;
          }};
}

dns::Message query(const std::string& name, dns::RecordType type) {
  dns::Message m;
  m.id = 0x4711;
  m.flags = dns::kRecursionDesired;
  m.questions.push_back({*dns::Name::parse(name), static_cast<std::uint16_t>(type), 1});
  return m;
}

// A datagram server whose replies the test makes: `reply` turns each query into its answer.
class Upstream {
 public:
  using Reply = std::function<std::vector<std::string>(const dns::Message&)>;
  Upstream(asio::io_context& io, Reply reply)
      : socket_(io, udp::endpoint(asio::ip::make_address("127.0.0.1"), 0)), reply_(std::move(reply)) {
    receive();
  }
  dns::SocketAddress at() const { return {*dns::Ip::parse("127.0.0.1"), socket_.local_endpoint().port()}; }
  const std::vector<dns::Message>& queries() const { return queries_; }
  const std::vector<std::uint16_t>& ports() const { return ports_; }

 private:
  void receive() {
    socket_.async_receive_from(
        asio::buffer(buffer_), from_, [this](boost::system::error_code error, std::size_t n) {
          if (error) return;
          queries_.push_back(*dns::Message::parse(std::string_view(buffer_.data(), n)));
          ports_.push_back(from_.port());
          for (const auto& bytes : reply_(queries_.back())) socket_.send_to(asio::buffer(bytes), from_);
          receive();
        });
  }
  udp::socket socket_;
  Reply reply_;
  std::array<char, 4096> buffer_{};
  udp::endpoint from_;
  std::vector<dns::Message> queries_;
  std::vector<std::uint16_t> ports_;
};

dns::Message answered(dns::Message m, const char* ip) {
  m.flags |= dns::kResponse;
  const auto bytes = dns::Ip::parse(ip)->bytes;
  m.answers.push_back({m.questions[0].name, 1, 1, 0, std::string(bytes.begin() + 12, bytes.end())});
  return m;
}

std::vector<std::string> answer_192_0_2_1(const dns::Message& m) {
  return {answered(m, "192.0.2.1").build()};
}

class DnsServerTest : public testing::Test {
 protected:
  void start(std::vector<dns::SocketAddress> upstream, const char* clients = "127.0.0.0/8",
             std::size_t questions_max = limits::kDnsInFlightMax) {
    DnsServerSetup setup{{{*dns::Ip::parse("127.0.0.1"), 0}},
                         std::move(upstream),
                         {*config::Network::parse(clients)},
                         questions_max};
    // A port that is free for UDP may be taken for TCP.
    auto server = DnsServer::start(io_, setup, answering("example.com"), random_);
    for (int i = 0; !server && i < 20; ++i)
      server = DnsServer::start(io_, setup, answering("example.com"), random_);
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
  }
  std::uint16_t port() const { return server_->endpoints().at(0).port; }

  // The reply to this datagram within `time_max`, if there is one.
  std::optional<dns::Message> ask(const std::string& bytes, std::chrono::milliseconds time_max = 5000ms) {
    udp::socket socket(io_, udp::v4());
    socket.connect({asio::ip::make_address("127.0.0.1"), port()});
    socket.send(asio::buffer(bytes));
    std::string reply(limits::kDnsMessageBytesMax, '\0');
    std::optional<dns::Message> out;
    bool done = false;
    socket.async_receive(asio::buffer(reply), [&](boost::system::error_code error, std::size_t n) {
      done = true;
      if (!error) out = *dns::Message::parse(std::string_view(reply).substr(0, n));
    });
    const auto end = std::chrono::steady_clock::now() + time_max;
    io_.restart();
    while (!done && std::chrono::steady_clock::now() < end) io_.run_one_for(20ms);
    socket.close();
    while (!done) io_.run_one_for(20ms);
    return out;
  }
  std::optional<dns::Message> ask(const dns::Message& m, std::chrono::milliseconds time_max = 5000ms) {
    return ask(m.build(), time_max);
  }
  static int rcode(const std::optional<dns::Message>& m) { return m ? m->flags & dns::kRcodeMask : -1; }

  asio::io_context io_;
  Counting random_;
  std::unique_ptr<DnsServer> server_;
};

TEST_F(DnsServerTest, its_own_names_are_answered_without_an_upstream) {
  start({});
  const auto reply = ask(query("_xmpp-server._tcp.partner.example", dns::RecordType::kSrv));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id, 0x4711);
  ASSERT_EQ(reply->answers.size(), 1U);
  EXPECT_EQ(dns::parse_srv(reply->answers[0].rdata)->target, "core.corp.example");
  EXPECT_EQ(server_->counters().answered, 1U);
}

TEST_F(DnsServerTest, a_new_policy_changes_the_answer) {
  start({});
  const auto inside = query("_xmpp-server._tcp.example.com", dns::RecordType::kSrv);
  EXPECT_EQ(rcode(ask(inside)), static_cast<int>(dns::Rcode::kServFail)) << "there is no upstream";
  server_->use(answering("other.example"));
  EXPECT_EQ(ask(inside)->answers.size(), 1U);
}

TEST_F(DnsServerTest, everything_else_goes_upstream_under_another_id_and_port) {
  Upstream upstream(io_, answer_192_0_2_1);
  start({upstream.at()});
  const auto asked = query("Www.Corp.Example", dns::RecordType::kA);
  for (int i = 0; i < 3; ++i) {
    const auto reply = ask(asked);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->id, asked.id);
    EXPECT_EQ(reply->questions, asked.questions) << "its case is kept";
    EXPECT_EQ(reply->answers.size(), 1U);
  }
  ASSERT_EQ(upstream.queries().size(), 3U);
  std::set<std::uint16_t> ids;
  for (const auto& seen : upstream.queries()) ids.insert(seen.id);
  EXPECT_EQ(ids.size(), 3U);
  EXPECT_FALSE(ids.contains(asked.id));
  EXPECT_GT(std::set(upstream.ports().begin(), upstream.ports().end()).size(), 1U);
  EXPECT_EQ(server_->counters().forwarded, 3U);
}

TEST_F(DnsServerTest, who_is_no_client_is_refused) {
  Upstream upstream(io_, answer_192_0_2_1);
  start({upstream.at()}, "10.0.0.0/8");
  EXPECT_EQ(rcode(ask(query("_xmpp-server._tcp.partner.example", dns::RecordType::kSrv))),
            static_cast<int>(dns::Rcode::kRefused));
  EXPECT_EQ(rcode(ask(query("www.example", dns::RecordType::kA))), static_cast<int>(dns::Rcode::kRefused));
  EXPECT_TRUE(upstream.queries().empty());
  EXPECT_EQ(server_->counters().refused, 2U);
}

TEST_F(DnsServerTest, a_reply_that_does_not_fit_the_question_is_not_heard) {
  Upstream upstream(io_, [](const dns::Message& m) {
    auto other_id = answered(m, "192.0.2.66");
    other_id.id ^= 1;
    auto other_name = answered(m, "192.0.2.66");
    other_name.questions[0].name = *dns::Name::parse("other.example");
    auto other_type = answered(m, "192.0.2.66");
    other_type.questions[0].type = 28;
    auto no_question = answered(m, "192.0.2.66");
    no_question.questions.clear();
    return std::vector<std::string>{other_id.build(),
                                    other_name.build(),
                                    other_type.build(),
                                    no_question.build(),
                                    m.build(),
                                    "x",
                                    answered(m, "192.0.2.1").build()};
  });
  start({upstream.at()});
  const auto reply = ask(query("www.example", dns::RecordType::kA));
  ASSERT_TRUE(reply);
  EXPECT_EQ(dns::parse_address(dns::RecordType::kA, reply->answers.at(0).rdata)->text(), "192.0.2.1");
}

TEST_F(DnsServerTest, the_next_upstream_is_asked_and_at_last_servfail_said) {
  Upstream good(io_, answer_192_0_2_1);
  // Closed again: an error at once.
  const udp::endpoint gone =
      udp::socket(io_, udp::endpoint(asio::ip::make_address("127.0.0.1"), 0)).local_endpoint();
  start({{*dns::Ip::parse("127.0.0.1"), gone.port()}, good.at()});
  EXPECT_EQ(ask(query("www.example", dns::RecordType::kA))->answers.size(), 1U);
  start({{*dns::Ip::parse("127.0.0.1"), gone.port()}});
  EXPECT_EQ(rcode(ask(query("www.example", dns::RecordType::kA))), static_cast<int>(dns::Rcode::kServFail));
  EXPECT_EQ(server_->counters().failed, 1U);
}

TEST_F(DnsServerTest, a_silent_upstream_is_given_up) {
  Upstream silent(io_, [](const dns::Message&) { return std::vector<std::string>(); });
  Upstream good(io_, answer_192_0_2_1);
  start({silent.at(), good.at()});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ask(query("www.example", dns::RecordType::kA))->answers.size(), 1U);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, limits::kDnsUpstreamTimeout);
}

TEST_F(DnsServerTest, what_is_no_query_is_refused_or_dropped) {
  start({});
  auto two = query("a.example", dns::RecordType::kA);
  two.questions.push_back(two.questions[0]);
  EXPECT_EQ(rcode(ask(two)), static_cast<int>(dns::Rcode::kFormErr));
  EXPECT_EQ(rcode(ask(query("a.example", dns::RecordType::kA).build() + "x")),
            static_cast<int>(dns::Rcode::kFormErr));
  auto response = query("a.example", dns::RecordType::kA);
  response.flags |= dns::kResponse;
  EXPECT_FALSE(ask(response, 100ms)) << "two answering servers must not talk to each other";
  EXPECT_FALSE(ask(std::string(11, '\0'), 100ms));
}

// Several clients, at 127.0.0.`host`, and an upstream that never answers.
class DnsServerSharesTest : public DnsServerTest {
 protected:
  template <typename Holds>
  bool until(Holds holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) io_.run_one_for(5ms);
    return holds();
  }
  udp::socket client(std::uint8_t host) {
    udp::socket socket(io_, udp::endpoint(asio::ip::address_v4({127, 0, 0, host}), 0));
    socket.connect({asio::ip::make_address("127.0.0.1"), port()});
    return socket;
  }
  tcp::socket connection(std::uint8_t host) {
    tcp::socket socket(io_, tcp::endpoint(asio::ip::address_v4({127, 0, 0, host}), 0));
    socket.connect({asio::ip::make_address("127.0.0.1"), port()});
    return socket;
  }
  // Sends a question that goes upstream; whether it arrives there.
  bool asks(udp::socket& from) {
    const std::size_t before = silent_.queries().size();
    const std::uint64_t refused = server_->counters().refused;
    from.send(asio::buffer(query("www.example", dns::RecordType::kA).build()));
    EXPECT_TRUE(
        until([&] { return silent_.queries().size() > before || server_->counters().refused > refused; }));
    return silent_.queries().size() > before;
  }
  void open(std::uint8_t host, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) open_.push_back(connection(host));
    io_.restart();
    while (io_.run_one_for(20ms) > 0) {
    }
  }
  // The server has closed it.
  static bool is_closed(tcp::socket& socket) {
    socket.non_blocking(true);
    char byte = 0;
    boost::system::error_code error;
    socket.read_some(asio::buffer(&byte, 1), error);
    return error && error != asio::error::would_block;
  }

  Upstream silent_{io_, [](const dns::Message&) { return std::vector<std::string>(); }};
  std::vector<tcp::socket> open_;
};

TEST_F(DnsServerSharesTest, a_client_has_half_of_the_questions_and_not_one_more) {
  start({silent_.at()});
  udp::socket busy = client(1);
  for (std::size_t i = 0; i < limits::kDnsInFlightMax / limits::kDnsInFlightPerClientPart; ++i)
    ASSERT_TRUE(asks(busy)) << i;
  EXPECT_FALSE(asks(busy));
  udp::socket other = client(2);
  EXPECT_TRUE(asks(other));
  EXPECT_EQ(server_->counters().displaced, 0U);
}

TEST_F(DnsServerSharesTest, when_all_questions_are_open_the_client_with_most_loses_its_oldest) {
  start({silent_.at()}, "127.0.0.0/8", 6);
  udp::socket first = client(1);
  udp::socket second = client(2);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(asks(first) && asks(second));
  udp::socket newcomer = client(3);
  EXPECT_TRUE(asks(newcomer));
  EXPECT_EQ(server_->counters().displaced, 1U);
  // Two, three and one: the client that holds most cannot displace others.
  EXPECT_FALSE(asks(second));
  EXPECT_TRUE(asks(newcomer));
  EXPECT_EQ(server_->counters().displaced, 2U);
}

TEST_F(DnsServerSharesTest, silent_connections_keep_no_question_from_its_answer) {
  start({silent_.at()});
  for (std::uint8_t host = 1; host <= limits::kDnsConnectionsMax / limits::kDnsConnectionsPerClientMax;
       ++host)
    open(host, limits::kDnsConnectionsPerClientMax);
  EXPECT_EQ(server_->counters().refused, 0U);
  open(1, 1);
  EXPECT_EQ(server_->counters().refused, 1U);
  EXPECT_TRUE(is_closed(open_.back()));
  EXPECT_EQ(ask(query("_xmpp-server._tcp.partner.example", dns::RecordType::kSrv))->answers.size(), 1U);
  open(100, 1);
  EXPECT_EQ(server_->counters().displaced, 1U);
  EXPECT_FALSE(is_closed(open_.back()));
  EXPECT_EQ(std::count_if(open_.begin(), open_.end(), [](tcp::socket& s) { return is_closed(s); }), 2);
}

TEST_F(DnsServerSharesTest, of_the_largest_clients_connections_an_idle_one_goes_first) {
  start({silent_.at()});
  std::string framed;
  Appender to(framed);
  const auto bytes = query("www.example", dns::RecordType::kA).build();
  to.u16(static_cast<std::uint16_t>(bytes.size()));
  to.raw(bytes);
  constexpr std::uint8_t kHosts = limits::kDnsConnectionsMax / limits::kDnsConnectionsPerClientMax;
  for (std::uint8_t host = 1; host <= kHosts; ++host) open(host, limits::kDnsConnectionsPerClientMax);
  // The oldest of all has a question: the oldest idle one of the same client loses its place instead.
  asio::write(open_.front(), asio::buffer(framed));
  io_.restart();
  while (io_.run_one_for(20ms) > 0) {
  }
  open(100, 1);
  EXPECT_EQ(server_->counters().displaced, 1U);
  EXPECT_FALSE(is_closed(open_.front()));
}

// The complete path of an internal server's question: libunbound, the answering resolver, a real server.
class WholeWayTest : public DnsServerTest {
 protected:
  void SetUp() override {
    std::string zone =
        "www.corp.example. A 192.0.2.7\n_xmpp-server._tcp.example.com. SRV 0 0 5269 xmpp.example.com.\n";
    for (int i = 0; i < 200; ++i) zone += fmt::format("large.corp.example. TXT \"{:0>100}\"\n", i);
    nsd_ = std::make_unique<Nsd>(zone);
    start({{*dns::Ip::parse("127.0.0.1"), nsd_->port()}});
    ResolverSetup setup;
    setup.servers = {{"127.0.0.1", port(), true}};
    resolver_ = *Resolver::make(io_.get_executor(), setup);
  }
  static asio::awaitable<void> ask_all(Resolver::Questions& questions) { co_await questions.wait_all(); }
  void finish(Resolver::Questions& questions) {
    auto ended = asio::co_spawn(io_, ask_all(questions), asio::use_future);
    while (ended.wait_for(0s) != std::future_status::ready) io_.run_one_for(1s);
  }

  std::unique_ptr<Nsd> nsd_;
  std::shared_ptr<Resolver> resolver_;
};

TEST_F(WholeWayTest, libunbound_is_content_with_every_answer) {
  Resolver::Questions questions(*resolver_);
  const auto deadline = Resolver::Questions::Clock::now() + 5s;
  using enum dns::RecordType;
  const auto outside = questions.ask("_xmpp-server._tcp.partner.example", kSrv, deadline);
  const auto direct = questions.ask("_xmpps-server._tcp.partner.example", kSrv, deadline);
  const auto inside = questions.ask("_xmpp-server._tcp.example.com", kSrv, deadline);
  const auto core = questions.ask("core.corp.example", kA, deadline);
  const auto core_v6 = questions.ask("core.corp.example", kAaaa, deadline);
  const auto www = questions.ask("www.corp.example", kA, deadline);
  const auto nobody = questions.ask("nobody.corp.example", kA, deadline);
  finish(questions);
  EXPECT_EQ(questions.srv(outside).records.at(0), (dns::SrvRecord{0, 0, 5269, "core.corp.example"}));
  EXPECT_EQ(questions.srv(direct).outcome, dns::LookupOutcome::kNoData);
  EXPECT_EQ(questions.srv(inside).records.at(0).target, "xmpp.example.com");
  EXPECT_EQ(questions.addresses(core).ips.at(0).text(), "10.0.0.5");
  EXPECT_EQ(questions.addresses(core_v6).outcome, dns::LookupOutcome::kNoData);
  EXPECT_EQ(questions.addresses(www).ips.at(0).text(), "192.0.2.7");
  EXPECT_EQ(questions.addresses(nobody).outcome, dns::LookupOutcome::kNoName);
}

TEST_F(WholeWayTest, what_does_not_fit_into_a_datagram_comes_over_tcp) {
  auto large = query("large.corp.example", static_cast<dns::RecordType>(16));
  const auto cut = ask(large);
  ASSERT_TRUE(cut);
  EXPECT_NE(cut->flags & dns::kTruncated, 0);

  tcp::socket socket(io_);
  socket.connect({asio::ip::make_address("127.0.0.1"), port()});
  std::string framed;
  Appender to(framed);
  const auto own = query("_xmpp-server._tcp.partner.example", dns::RecordType::kSrv);
  for (const auto& bytes : {large.build(), own.build()}) {
    to.u16(static_cast<std::uint16_t>(bytes.size()));
    to.raw(bytes);
  }
  asio::write(socket, asio::buffer(framed));
  // Both questions in one connection, each answered, the first by its upstream.
  std::string got;
  std::array<char, 65536> buffer{};
  std::function<void()> read = [&] {
    socket.async_read_some(asio::buffer(buffer), [&](boost::system::error_code error, std::size_t n) {
      if (error) return;
      got.append(buffer.data(), n);
      read();
    });
  };
  read();
  const auto complete = [&]() -> std::optional<std::pair<std::string, std::string>> {
    Cursor in(got);
    const auto first_size = in.u16();
    const auto first = first_size ? in.raw(*first_size) : std::nullopt;
    const auto second_size = first ? in.u16() : std::nullopt;
    const auto second = second_size ? in.raw(*second_size) : std::nullopt;
    if (!second) return std::nullopt;
    return std::pair(std::string(*first), std::string(*second));
  };
  const auto end = std::chrono::steady_clock::now() + 5s;
  while (!complete() && std::chrono::steady_clock::now() < end) io_.run_one_for(50ms);
  ASSERT_TRUE(complete());
  EXPECT_EQ(dns::Message::parse(complete()->first)->answers.size(), 200U);
  EXPECT_EQ(dns::Message::parse(complete()->second)->answers.size(), 1U);
}

TEST(DnsServer, an_address_that_is_taken_is_an_error) {
  asio::io_context io;
  Counting random;
  const udp::socket taken(io, udp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
  const DnsServerSetup setup{{{*dns::Ip::parse("127.0.0.1"), taken.local_endpoint().port()}}, {}, {}};
  const auto started = DnsServer::start(io, setup, answering(""), random);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kNetAddressInUse);
}

}  // namespace
}  // namespace sallyport::net

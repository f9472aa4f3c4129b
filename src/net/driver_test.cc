// Two drivers with scripted roles talk over loopback sockets in one thread. Nothing sleeps: each test runs
// the loop until what it waits for is true, or fails after a generous time.
#include "net/driver.h"

#include <sys/socket.h>

#include <gtest/gtest.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "net/certificate_fixture.h"
#include "net/endpoint.h"

namespace sallyport::net {
namespace {

using namespace std::chrono_literals;

xmpp::Domain domain(const std::string& text) { return *xmpp::Domain::parse(text); }

// Connects to the first step of a plan.
class PlainDialer : public Dialer {
 public:
  asio::awaitable<Result<Dialled>> dial(gate::DialPlan plan, Duration) override {
    tcp::socket socket(co_await asio::this_coro::executor);
    const auto& address = plan.steps.front().address;
    dns::Endpoint peer{*dns::Ip::parse(address.host), address.port};
    auto [error] = co_await socket.async_connect(to_asio(peer), asio::as_tuple(asio::use_awaitable));
    if (error) co_return Error{Code::kDialRefused, error.message()};
    co_return Dialled{std::move(socket), peer, direct_tls, "test"};
  }
  void set_own_listeners(std::vector<dns::Endpoint> own) override { own_listeners = std::move(own); }

  bool direct_tls = false;
  std::vector<dns::Endpoint> own_listeners;
};

// Writes down what it is told, and wants what the test says.
class ScriptedRole : public gate::Role {
 public:
  void handle_accepted(gate::ConnId conn, const gate::Accepted& accepted, Now) override {
    accepted_.push_back(conn);
    direct_tls_ = accepted.direct_tls;
    last_peer_ = accepted.peer;
  }
  void handle_connected(gate::ConnId conn, const gate::Connected& connected, Now) override {
    connected_.push_back(conn);
    if (on_connected) on_connected(conn, connected);
  }
  void handle_dial_failed(gate::ConnId conn, Error error, Now) override {
    dial_failed_.push_back(conn);
    last_error_ = std::move(error);
  }
  void handle_link(gate::ConnId conn, std::size_t peer, const gate::Endpoint&, Now) override {
    links_.push_back(conn);
    link_peer_ = peer;
  }
  void handle_bytes(gate::ConnId conn, std::string_view bytes, Now) override {
    EXPECT_FALSE(is_over(conn));
    largest_ = std::max(largest_, bytes.size());
    received_[conn].append(bytes);
    if (on_bytes) on_bytes(conn, bytes);
  }
  void handle_tls(gate::ConnId conn, Result<s2s::TlsFacts> facts, Now) override {
    EXPECT_FALSE(is_over(conn));
    if (!facts) last_error_ = facts.error();
    tls_.emplace(conn, std::move(facts));
    if (on_tls) on_tls(conn);
  }
  void handle_written(gate::ConnId conn, std::uint64_t bytes_total, Now) override {
    EXPECT_FALSE(is_over(conn));
    EXPECT_GT(bytes_total, written_[conn]);
    EXPECT_LE(bytes_total, taken_[conn]);
    written_[conn] = bytes_total;
  }
  void handle_disconnected(gate::ConnId conn, Error error, Now) override {
    EXPECT_FALSE(is_over(conn));
    disconnected_.push_back(conn);
    last_error_ = std::move(error);
  }
  void handle_timeout(Now now) override {
    EXPECT_GE(now.mono, *timeout_);
    timeout_.reset();
    ++timeouts_;
  }
  std::optional<Time> poll_timeout() const override { return timeout_; }
  std::optional<gate::Output> poll() override {
    if (wants_.empty()) return std::nullopt;
    gate::Output output = std::move(wants_.front());
    wants_.erase(wants_.begin());
    if (auto* disconnect = std::get_if<gate::Disconnect>(&output)) done_.push_back(disconnect->conn);
    return output;
  }
  bool take_output(gate::ConnId conn, std::string& out, Now) override {
    EXPECT_TRUE(out.empty());
    std::string& pending = pending_[conn];
    if (pending.empty()) return false;
    std::swap(out, pending);
    taken_[conn] += out.size();
    return true;
  }
  std::string control(std::string_view question, Now) override {
    return "answer to " + std::string(question);
  }
  void drain(Now) override { drained_ = true; }
  bool is_drained() const override { return drained_; }
  bool is_proved(gate::ConnId conn) const override { return proved_.contains(conn); }

  void say(gate::ConnId conn, std::string_view bytes) {
    pending_[conn].append(bytes);
    wants_.emplace_back(gate::Flush{conn});
  }
  bool is_over(gate::ConnId conn) const {
    auto has = [conn](const std::vector<gate::ConnId>& list) {
      return std::find(list.begin(), list.end(), conn) != list.end();
    };
    return has(disconnected_) || has(done_);
  }

  std::function<void(gate::ConnId, const gate::Connected&)> on_connected;
  std::function<void(gate::ConnId, std::string_view)> on_bytes;
  std::function<void(gate::ConnId)> on_tls;
  std::vector<gate::Output> wants_;
  std::vector<gate::ConnId> accepted_, connected_, dial_failed_, links_, disconnected_, done_;
  std::unordered_map<gate::ConnId, std::string> received_, pending_;
  std::unordered_map<gate::ConnId, std::uint64_t> written_, taken_;
  std::unordered_map<gate::ConnId, Result<s2s::TlsFacts>> tls_;
  std::unordered_set<gate::ConnId> proved_;
  std::optional<Error> last_error_;
  std::optional<Time> timeout_;
  dns::Endpoint last_peer_;
  std::size_t link_peer_ = 99;
  std::size_t largest_ = 0;
  int timeouts_ = 0;
  bool direct_tls_ = false;
  bool drained_ = false;
};

struct KeepLog : LogSink {
  void log(LogEvent event) override { events.push_back(std::move(event)); }
  bool has(std::string_view name) const {
    return std::any_of(events.begin(), events.end(),
                       [name](const LogEvent& event) { return event.name == name; });
  }
  std::vector<LogEvent> events;
};

// A door: a scripted role with everything around it.
struct Door {
  explicit Door(asio::io_context& io) : io_(io) {}
  void start(DriverConfig config) {
    link = *LinkTls::make(identity.certificate, identity.key);
    driver.emplace(Driver::Parts{io_, role, dialer, tls, *link, &certificates, log}, std::move(config));
    auto started = driver->start();
    ASSERT_TRUE(started) << started.error().text;
  }
  void want(gate::Output output) {
    role.wants_.push_back(std::move(output));
    driver->wake();
  }
  void say(gate::ConnId conn, std::string_view bytes) {
    role.say(conn, bytes);
    driver->wake();
  }
  asio::io_context& io_;
  ScriptedRole role;
  PlainDialer dialer;
  PushedCertificates certificates;
  S2sTls tls{certificates};
  IdentityPem identity = *make_identity("door", UnixTime(std::chrono::seconds(1'700'000'000)));
  std::unique_ptr<LinkTls> link;
  KeepLog log;
  std::optional<Driver> driver;
};

dns::Endpoint loopback(std::uint16_t port = 0) { return {dns::Ip::v4({127, 0, 0, 1}), port}; }
route::HostPort host_port(const dns::Endpoint& endpoint) { return {endpoint.ip.text(), endpoint.port, true}; }

class DriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.tls.trust(root_.pem()).has_value();
    client_.tls.trust(root_.pem()).has_value();
    server_.certificates.use({pem_for("server.example")});
    client_.certificates.use({pem_for("client.example")});
    DriverConfig config;
    config.s2s = {loopback()};
    config.traversal = {loopback()};
    config.listen_from_start = true;
    config.core_pins = {{"sha256:none"}, {client_.identity.pin}};
    server_.start(config);
    DriverConfig client;
    client.edges = {{host_port(server_.driver->traversal_endpoints().front()), {server_.identity.pin}},
                    {host_port(server_.driver->traversal_endpoints().front()), {"sha256:other"}}};
    client_.start(client);
  }
  void TearDown() override {
    server_.driver->stop();
    client_.driver->stop();
    if (stranger_.driver) stranger_.driver->stop();
    // Everything ends by itself: no coroutine is left waiting.
    EXPECT_TRUE(run_until([this] { return io_.stopped(); }));
  }

  gate::CertificatePem pem_for(const std::string& name) {
    Made made = root_.issue({.dns = {name}});
    gate::CertificatePem pem;
    pem.chain = made.certificate;
    pem.key = made.key;
    return pem;
  }

  template <typename Condition>
  bool run_until(Condition condition) {
    auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      if (io_.run_one_for(100ms) == 0 && io_.stopped() && !condition()) io_.restart();
    }
    return condition();
  }

  gate::Dial dial(gate::ConnId conn) {
    gate::DialPlan plan;
    plan.steps.push_back({host_port(server_.driver->s2s_endpoints().front()), true});
    return {conn, std::move(plan)};
  }
  // A plain connection both roles know of; returns the server's name for it. The client's is 2.
  gate::ConnId connect() {
    client_.want(dial(2));
    client_.say(2, "hello");
    EXPECT_TRUE(run_until([this] { return !server_.role.received_.empty(); }));
    return server_.role.accepted_.empty() ? 0 : server_.role.accepted_.front();
  }
  gate::BeginTls accepting(gate::ConnId conn) { return {conn, true, domain("server.example"), {}, false}; }
  gate::BeginTls initiating(gate::ConnId conn, bool direct = false) {
    return {conn, false, domain("client.example"), "server.example", direct};
  }
  // The same, in TLS.
  gate::ConnId connect_secure() {
    gate::ConnId conn = connect();
    server_.say(conn, "<proceed/>");
    server_.want(accepting(conn));
    EXPECT_TRUE(run_until([&] { return client_.role.received_[2] == "<proceed/>"; }));
    client_.want(initiating(2));
    EXPECT_TRUE(run_until([&] { return server_.role.tls_.contains(conn) && client_.role.tls_.contains(2); }));
    return conn;
  }

  asio::io_context io_{1};
  TestAuthority root_;
  Door server_{io_};
  Door client_{io_};
  Door stranger_{io_};
};

TEST_F(DriverTest, bytes_pass_both_ways_and_what_was_written_is_told) {
  gate::ConnId conn = connect();
  EXPECT_EQ(conn % 2, 1U);
  EXPECT_FALSE(server_.role.direct_tls_);
  server_.say(conn, "welcome");
  ASSERT_TRUE(run_until([&] { return client_.role.received_[2] == "welcome"; }));
  EXPECT_EQ(server_.role.received_[conn], "hello");
  EXPECT_EQ(client_.role.written_[2], 5U);
  EXPECT_EQ(server_.role.written_[conn], 7U);
}

TEST_F(DriverTest, starttls_on_both_ends_begins_behind_what_was_said_before) {
  gate::ConnId conn = connect_secure();
  EXPECT_EQ(client_.role.received_[2], "<proceed/>");
  ASSERT_TRUE(server_.role.tls_.at(conn));
  ASSERT_TRUE(client_.role.tls_.at(2));
  EXPECT_EQ(server_.role.tls_.at(conn)->names.dns, std::vector<std::string>{"client.example"});
  EXPECT_TRUE(server_.role.tls_.at(conn)->chain.has_value());
  EXPECT_EQ(client_.role.tls_.at(2)->names.dns, std::vector<std::string>{"server.example"});
  EXPECT_EQ(client_.role.tls_.at(2)->own_certificate, "client.example");
  client_.say(2, "secret");
  server_.say(conn, "mine");
  ASSERT_TRUE(run_until([&] {
    return server_.role.received_[conn] == "hellosecret" && client_.role.received_[2] == "<proceed/>mine";
  }));
  // Counted from the connection's beginning, across the handshake.
  EXPECT_EQ(client_.role.written_[2], 11U);
}

TEST_F(DriverTest, tls_waits_until_all_that_was_said_before_is_written) {
  gate::ConnId conn = connect();
  // More than the socket takes at once; the peer does not read yet.
  client_.want(gate::Hold{2, true});
  std::string much(4 * 1024 * 1024, 'x');
  server_.say(conn, much);
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.written_[conn] > 0; }));
  EXPECT_LT(server_.role.written_[conn], much.size());
  EXPECT_FALSE(server_.role.tls_.contains(conn));
  client_.role.on_bytes = [&](gate::ConnId, std::string_view) {
    if (client_.role.received_[2].size() == much.size()) client_.role.wants_.emplace_back(initiating(2));
  };
  client_.want(gate::Hold{2, false});
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn) && client_.role.tls_.contains(2); }));
  EXPECT_TRUE(server_.role.tls_.at(conn).has_value());
  EXPECT_EQ(client_.role.received_[2].size(), much.size());
}

TEST_F(DriverTest, what_is_said_while_writing_is_blocked_still_comes_before_tls) {
  gate::ConnId conn = connect();
  client_.want(gate::Hold{2, true});
  std::string much(4 * 1024 * 1024, 'x');
  server_.say(conn, much);
  ASSERT_TRUE(run_until([&] { return server_.role.written_[conn] > 0; }));
  server_.say(conn, "<proceed/>");
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  // Said after the order: it belongs behind the handshake.
  server_.say(conn, "<features/>");
  client_.role.on_bytes = [&](gate::ConnId, std::string_view) {
    if (client_.role.received_[2].ends_with("<proceed/>")) client_.role.wants_.emplace_back(initiating(2));
  };
  client_.want(gate::Hold{2, false});
  ASSERT_TRUE(run_until([&] { return client_.role.received_[2].ends_with("<features/>"); }));
  EXPECT_TRUE(server_.role.tls_.at(conn).has_value());
  EXPECT_EQ(client_.role.received_[2].size(), much.size() + 21);
}

TEST_F(DriverTest, a_first_byte_of_tls_is_answered_with_tls) {
  client_.dialer.direct_tls = true;
  client_.role.on_connected = [&](gate::ConnId conn, const gate::Connected& connected) {
    EXPECT_TRUE(connected.direct_tls);
    client_.role.wants_.emplace_back(initiating(conn, true));
  };
  client_.want(dial(2));
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.size() == 1 && client_.role.tls_.size() == 1; }));
  gate::ConnId conn = server_.role.accepted_.front();
  EXPECT_TRUE(server_.role.direct_tls_);
  ASSERT_TRUE(server_.role.tls_.at(conn));
  EXPECT_EQ(server_.role.tls_.at(conn)->server_name, "server.example");
  EXPECT_EQ(server_.role.tls_.at(conn)->alpn, "xmpp-server");
  client_.say(2, "hi");
  EXPECT_TRUE(run_until([&] { return server_.role.received_[conn] == "hi"; }));
}

TEST_F(DriverTest, a_failed_handshake_is_told_once_and_ends_the_connection) {
  gate::ConnId conn = connect();
  client_.say(2, "this is not TLS, and long enough to be seen as such");
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn); }));
  EXPECT_FALSE(server_.role.tls_.at(conn));
  EXPECT_EQ(server_.role.last_error_->code, Code::kTlsHandshake);
  ASSERT_TRUE(
      run_until([&] { return !client_.role.disconnected_.empty() && server_.driver->connections() == 0; }));
  EXPECT_TRUE(server_.role.disconnected_.empty());
}

TEST_F(DriverTest, a_domain_without_certificate_fails_the_handshake_before_it_begins) {
  gate::ConnId conn = connect();
  server_.want(gate::BeginTls{conn, true, domain("other.example"), {}, false});
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn); }));
  EXPECT_EQ(server_.role.last_error_->code, Code::kTlsNoLocalCertificate);
}

TEST_F(DriverTest, a_megabyte_under_hold_arrives_whole_in_turns_of_a_bounded_size) {
  for (bool is_secure : {false, true}) {
    SCOPED_TRACE(is_secure);
    gate::ConnId conn = 0;
    if (is_secure) {
      client_.want(gate::Disconnect{2});
      ASSERT_TRUE(
          run_until([&] { return client_.driver->connections() + server_.driver->connections() == 0; }));
      server_.role = ScriptedRole();
      client_.role = ScriptedRole();
      conn = connect_secure();
    } else {
      conn = connect();
    }
    std::size_t before = client_.role.received_[2].size();
    client_.want(gate::Hold{2, true});
    std::string much;
    while (much.size() < 8 * 1024 * 1024) much += "line " + std::to_string(much.size()) + "\n";
    server_.say(conn, much);
    ASSERT_TRUE(run_until([&] { return server_.role.written_[conn] > 64 * 1024; }));
    EXPECT_EQ(client_.role.received_[2].size(), before);
    EXPECT_LT(server_.role.written_[conn], much.size());
    client_.want(gate::Hold{2, false});
    ASSERT_TRUE(run_until([&] { return client_.role.received_[2].size() == before + much.size(); }));
    EXPECT_EQ(client_.role.received_[2].substr(before), much);
    EXPECT_LE(client_.role.largest_, limits::kReadBytes);
  }
}

TEST_F(DriverTest, disconnect_writes_what_is_left_first) {
  for (bool is_secure : {false, true}) {
    SCOPED_TRACE(is_secure);
    server_.role = ScriptedRole();
    client_.role = ScriptedRole();
    gate::ConnId conn = is_secure ? connect_secure() : connect();
    std::size_t before = client_.role.received_[2].size();
    std::string much(3 * 1024 * 1024, 'x');
    server_.role.pending_[conn] = much;  // without a Flush: Disconnect takes it
    server_.want(gate::Disconnect{conn});
    ASSERT_TRUE(run_until([&] { return !client_.role.disconnected_.empty(); }));
    EXPECT_EQ(client_.role.received_[2].size(), before + much.size());
    EXPECT_EQ(client_.role.last_error_->code, Code::kStreamLost);
    ASSERT_TRUE(
        run_until([&] { return client_.driver->connections() + server_.driver->connections() == 0; }));
    EXPECT_TRUE(server_.role.disconnected_.empty());
  }
}

TEST_F(DriverTest, what_came_before_the_end_is_given_before_the_end) {
  gate::ConnId conn = connect();
  client_.role.pending_[2] = "</stream:stream>";
  client_.want(gate::Disconnect{2});
  ASSERT_TRUE(run_until([&] { return !server_.role.disconnected_.empty(); }));
  EXPECT_EQ(server_.role.received_[conn], "hello</stream:stream>");
}

TEST_F(DriverTest, an_end_is_noticed_under_hold_when_it_is_a_reset) {
  gate::ConnId conn = connect();
  server_.want(gate::Hold{conn, true});
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  tcp::socket rude(io_);
  rude.connect(to_asio(server_.driver->s2s_endpoints().front()));
  asio::write(rude, asio::buffer("x", 1));
  ASSERT_TRUE(run_until([&] { return server_.role.accepted_.size() == 2; }));
  gate::ConnId second = server_.role.accepted_.back();
  server_.want(gate::Hold{second, true});
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  rude.set_option(asio::socket_base::linger(true, 0));
  rude.close();
  ASSERT_TRUE(run_until([&] { return !server_.role.disconnected_.empty(); }));
  EXPECT_EQ(server_.role.disconnected_.front(), second);
}

TEST_F(DriverTest, outputs_for_a_connection_that_is_over_are_ignored) {
  gate::ConnId conn = connect();
  client_.want(gate::Disconnect{2});
  ASSERT_TRUE(run_until([&] { return !server_.role.disconnected_.empty(); }));
  server_.role.pending_[conn] = "last words";
  for (gate::Output output : {gate::Output(gate::Flush{conn}), gate::Output(gate::Hold{conn, true}),
                              gate::Output(accepting(conn)), gate::Output(gate::Disconnect{conn})}) {
    server_.want(output);
  }
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  // The role is relieved of them.
  EXPECT_TRUE(server_.role.pending_[conn].empty());
}

TEST_F(DriverTest, a_port_that_does_not_listen_refuses) {
  server_.want(gate::Listen{false});
  ASSERT_TRUE(run_until([&] { return !server_.driver->is_listening(); }));
  dns::Endpoint endpoint = server_.driver->s2s_endpoints().front();
  client_.want(dial(2));
  ASSERT_TRUE(run_until([&] { return client_.role.dial_failed_.size() == 1; }));
  EXPECT_EQ(client_.role.last_error_->code, Code::kDialRefused);
  server_.want(gate::Listen{true});
  ASSERT_TRUE(run_until([&] { return server_.driver->is_listening(); }));
  EXPECT_EQ(server_.driver->s2s_endpoints().front(), endpoint);
  client_.want(dial(4));
  EXPECT_TRUE(run_until([&] { return client_.role.connected_.size() == 1; }));
}

TEST_F(DriverTest, a_port_in_use_fails_the_start) {
  Door other(io_);
  DriverConfig config;
  config.s2s = server_.driver->s2s_endpoints();
  config.listen_from_start = true;
  other.link = *LinkTls::make(other.identity.certificate, other.identity.key);
  Driver driver(Driver::Parts{io_, other.role, other.dialer, other.tls, *other.link, nullptr, other.log},
                config);
  auto started = driver.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kFileUnreadable);
  EXPECT_NE(started.error().text.find(config.s2s.front().text()), std::string::npos);
}

TEST_F(DriverTest, the_dialler_is_told_our_own_listeners) {
  EXPECT_EQ(server_.dialer.own_listeners.size(), 2U);
  EXPECT_EQ(server_.dialer.own_listeners.front(), server_.driver->s2s_endpoints().front());
}

TEST_F(DriverTest, a_link_needs_pinned_keys_on_both_sides) {
  client_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return server_.role.links_.size() == 1 && client_.role.links_.size() == 1; }));
  EXPECT_EQ(server_.role.link_peer_, 1U);
  EXPECT_EQ(client_.role.link_peer_, 0U);
  client_.say(2, "greeting");
  ASSERT_TRUE(run_until([&] { return server_.role.received_[server_.role.links_.front()] == "greeting"; }));
  client_.want(gate::DialLink{4, 1});
  ASSERT_TRUE(
      run_until([&] { return client_.role.dial_failed_.size() == 1 && server_.log.has("link.handshake"); }));
  EXPECT_EQ(client_.role.last_error_->code, Code::kTlsPin);
  EXPECT_EQ(server_.role.links_.size(), 1U);
}

TEST_F(DriverTest, a_core_that_is_not_pinned_reaches_no_role) {
  DriverConfig config;
  config.edges = {{host_port(server_.driver->traversal_endpoints().front()), {server_.identity.pin}}};
  stranger_.start(config);
  stranger_.role.pending_[2] = "greeting";
  stranger_.want(gate::DialLink{2, 0});
  // In TLS 1.3 the dialling side is done before it hears that it was refused.
  ASSERT_TRUE(
      run_until([&] { return server_.log.has("link.handshake") && stranger_.driver->connections() == 0; }));
  EXPECT_TRUE(server_.role.links_.empty());
  EXPECT_TRUE(server_.role.received_.empty());
  EXPECT_EQ(server_.driver->counters().link_refused, 1U);
}

TEST_F(DriverTest, noise_on_the_traversal_port_reaches_no_role) {
  tcp::socket rude(io_);
  rude.connect(to_asio(server_.driver->traversal_endpoints().front()));
  std::string noise(64 * 1024, '\x7f');
  boost::system::error_code ignored;
  asio::write(rude, asio::buffer(noise), ignored);
  ASSERT_TRUE(run_until([&] { return server_.log.has("link.handshake"); }));
  EXPECT_TRUE(server_.role.links_.empty());
  EXPECT_EQ(server_.driver->connections(), 0U);
}

TEST_F(DriverTest, connections_that_proved_nothing_are_counted_by_address) {
  DriverConfig config;
  config.s2s = {loopback()};
  stranger_.start(config);
  stranger_.want(gate::Listen{true});
  ASSERT_TRUE(run_until([&] { return stranger_.driver->is_listening(); }));
  ScriptedRole& role = stranger_.role;
  std::vector<tcp::socket> peers;
  auto come = [&] { peers.emplace_back(io_).connect(to_asio(stranger_.driver->s2s_endpoints().front())); };
  for (std::size_t i = 0; i <= limits::kUnauthenticatedPerAddressMax; ++i) come();
  // The silent ones count, and one past the bound is refused.
  ASSERT_TRUE(run_until([&] { return stranger_.driver->counters().refused == 1; }));
  EXPECT_EQ(stranger_.driver->counters().accepted, limits::kUnauthenticatedPerAddressMax);
  EXPECT_TRUE(role.accepted_.empty());
  // One that speaks counts, too, until it has proved a domain.
  asio::write(peers.front(), asio::buffer("<", 1));
  ASSERT_TRUE(run_until([&] { return role.accepted_.size() == 1; }));
  come();
  ASSERT_TRUE(run_until([&] { return stranger_.driver->counters().refused == 2; }));
  role.proved_.insert(role.accepted_.front());
  ASSERT_TRUE(run_until([&] {
    come();
    io_.run_one_for(50ms);
    return stranger_.driver->counters().accepted == limits::kUnauthenticatedPerAddressMax + 1;
  }));
  // And one that goes makes room.
  peers[1].close();
  ASSERT_TRUE(
      run_until([&] { return stranger_.driver->connections() == limits::kUnauthenticatedPerAddressMax; }));
  come();
  ASSERT_TRUE(run_until(
      [&] { return stranger_.driver->counters().accepted == limits::kUnauthenticatedPerAddressMax + 2; }));
}

TEST_F(DriverTest, inside_one_server_may_open_many_streams_at_once) {
  std::vector<tcp::socket> peers;
  for (std::size_t i = 0; i <= limits::kUnauthenticatedPerAddressMax; ++i) {
    peers.emplace_back(io_).connect(to_asio(server_.driver->s2s_endpoints().front()));
  }
  ASSERT_TRUE(run_until([&] { return server_.driver->counters().accepted == peers.size(); }));
  EXPECT_EQ(server_.driver->counters().refused, 0U);
}

TEST_F(DriverTest, handshakes_on_the_traversal_port_are_counted_by_address) {
  std::vector<tcp::socket> silent;
  for (std::size_t i = 0; i <= limits::kTraversalHandshakesPerAddressMax; ++i) {
    silent.emplace_back(io_).connect(to_asio(server_.driver->traversal_endpoints().front()));
  }
  ASSERT_TRUE(run_until([&] { return server_.driver->counters().refused == 1; }));
  EXPECT_EQ(server_.driver->connections(), limits::kTraversalHandshakesPerAddressMax);
}

TEST_F(DriverTest, timeouts_come_when_they_are_due_and_move_with_the_role) {
  Now now = server_.driver->now();
  server_.role.timeout_ = now.mono + std::chrono::hours(1);
  server_.driver->wake();
  io_.poll();
  server_.role.timeout_ = now.mono + 20ms;
  server_.driver->wake();
  ASSERT_TRUE(run_until([&] { return server_.role.timeouts_ == 1; }));
  // One that moved back fires late, not early: handle_timeout checks.
  now = server_.driver->now();
  server_.role.timeout_ = now.mono + 10ms;
  server_.driver->wake();
  io_.poll();
  server_.role.timeout_ = now.mono + 40ms;
  ASSERT_TRUE(run_until([&] { return server_.role.timeouts_ == 2; }));
}

TEST_F(DriverTest, control_asks_the_role_and_drain_ends_it) {
  EXPECT_EQ(server_.driver->control("status"), "answer to status");
  EXPECT_FALSE(server_.driver->is_drained());
  server_.driver->drain_streams();
  EXPECT_TRUE(server_.role.drained_);
  EXPECT_FALSE(server_.driver->is_listening());
  EXPECT_TRUE(server_.driver->is_drained());
}

TEST_F(DriverTest, pushed_certificates_and_trust_count_from_the_next_handshake_on) {
  gate::CertificatePem broken;
  broken.chain = "nonsense";
  server_.want(gate::UseCertificates{{pem_for("other.example"), broken}});
  server_.want(gate::UseTrust{"nonsense"});
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  EXPECT_TRUE(server_.log.has("net.certificate"));
  EXPECT_TRUE(server_.log.has("net.trust"));
  gate::ConnId conn = connect();
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn); }));
  EXPECT_EQ(server_.role.last_error_->code, Code::kTlsNoLocalCertificate);
}

TEST_F(DriverTest, a_dial_that_is_given_up_ends_without_a_word) {
  client_.want(dial(2));
  client_.want(gate::Disconnect{2});
  ASSERT_TRUE(run_until([&] { return client_.role.wants_.empty() && client_.driver->connections() == 0; }));
  EXPECT_TRUE(client_.role.connected_.empty());
  EXPECT_TRUE(client_.role.dial_failed_.empty());
}

}  // namespace
}  // namespace sallyport::net

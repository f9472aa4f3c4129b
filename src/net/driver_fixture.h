// Two nodes with scripted roles talk over loopback sockets in one thread, for the driver's tests. Nothing
// sleeps: each test runs the loop until its condition is true, or fails after a generous time.
#pragma once

#include "net/driver.h"

#include <sys/socket.h>

#include <gtest/gtest.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "net/certificate_fixture.h"
#include "net/socket_address.h"

namespace sallyport::net {
using namespace std::chrono_literals;

inline xmpp::Domain domain(const std::string& text) { return *xmpp::Domain::parse(text); }

// Connects to the first step of a plan.
class PlainDialer : public Dialer {
 public:
  asio::awaitable<Result<Dialled>> dial(gate::DialPlan plan, Duration) override {
    tcp::socket socket(co_await asio::this_coro::executor);
    const auto& address = plan.steps.front().address;
    dns::SocketAddress peer{*dns::Ip::parse(address.host), address.port};
    auto [error] = co_await socket.async_connect(to_asio(peer), asio::as_tuple(asio::use_awaitable));
    if (error) co_return Error{Code::kDialRefused, error.message()};
    co_return Dialled{std::move(socket), peer, direct_tls, "test"};
  }
  void set_own_listeners(std::vector<dns::SocketAddress> own) override { own_listeners = std::move(own); }

  bool direct_tls = false;
  std::vector<dns::SocketAddress> own_listeners;
};

// Records its inputs; the test sets its outputs.
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
  void handle_link(gate::ConnId conn, std::size_t peer, const dns::SocketAddress&, Now) override {
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
  void handle_prepared(std::uint64_t id, Result<config::PreparedPush> prepared, Now) override {
    prepared_.emplace(id, std::move(prepared));
  }
  void handle_listening(Result<void> opened, Now) override { listening_.push_back(std::move(opened)); }
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
  std::unordered_map<std::uint64_t, Result<config::PreparedPush>> prepared_;
  std::vector<Result<void>> listening_;
  std::unordered_set<gate::ConnId> proved_;
  std::optional<Error> last_error_;
  std::optional<Time> timeout_;
  dns::SocketAddress last_peer_;
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

// A node: a scripted role and its driver.
struct TestNode {
  explicit TestNode(asio::io_context& io) : io_(io) {}
  void start(DriverConfig config) {
    link = *LinkTls::make(identity.certificate, identity.key);
    driver.emplace(Driver::Parts{io_, role, dialer, tls, *link, &certificates, worker, log},
                   std::move(config));
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
  IdentityPem identity = *make_identity("node", UnixTime(std::chrono::seconds(1'700'000'000)));
  std::unique_ptr<LinkTls> link;
  KeepLog log;
  Worker worker;
  std::optional<Driver> driver;
};

inline dns::SocketAddress loopback(std::uint16_t port = 0) { return {dns::Ip::v4({127, 0, 0, 1}), port}; }
inline route::HostPort host_port(const dns::SocketAddress& endpoint) {
  return {endpoint.ip.text(), endpoint.port, true};
}

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
    // Everything ends by itself: no coroutine is left.
    EXPECT_TRUE(run_until([this] { return io_.stopped(); }));
  }

  config::CertificatePem pem_for(const std::string& name) {
    Made made = root_.issue({.dns = {name}});
    config::CertificatePem pem;
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
  // Opens a plain connection that both roles know; returns the server's id for it. The client's is 2.
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
  // The same, with TLS.
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
  TestNode server_{io_};
  TestNode client_{io_};
  TestNode stranger_{io_};
};

}  // namespace sallyport::net

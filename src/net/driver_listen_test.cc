// Listeners, the link, and the limits of unauthenticated connections.
#include <sys/resource.h>

#include "net/driver_fixture.h"
#include "net/socket_address.h"

namespace sallyport::net {
namespace {

TEST_F(DriverTest, a_port_that_does_not_listen_refuses) {
  server_.want(gate::Listen{false});
  ASSERT_TRUE(run_until([&] { return !server_.driver->is_listening(); }));
  dns::SocketAddress endpoint = server_.driver->s2s_endpoints().front();
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
  TestNode other(io_);
  DriverConfig config;
  config.s2s = server_.driver->s2s_endpoints();
  config.listen_from_start = true;
  other.link = *LinkTls::make(other.identity.certificate, other.identity.key);
  Driver driver(
      Driver::Parts{io_, other.role, other.dialer, other.tls, *other.link, nullptr, other.worker, other.log},
      config);
  auto started = driver.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kNetAddressInUse);
  EXPECT_NE(started.error().text.find(config.s2s.front().text()), std::string::npos);
}

// Two sockets may be bound to one address while neither listens, so that the second is refused late.
TEST_F(DriverTest, listeners_that_another_took_are_told_to_the_role_and_open_when_they_are_free) {
  DriverConfig config;
  config.s2s = {loopback()};
  stranger_.start(config);
  const dns::SocketAddress endpoint = stranger_.driver->s2s_endpoints().front();
  std::optional<tcp::acceptor> taken(io_);
  taken->open(tcp::v4());
  taken->set_option(tcp::acceptor::reuse_address(true));
  taken->bind(to_asio(endpoint));
  taken->listen();
  stranger_.want(gate::Listen{true});
  ASSERT_TRUE(run_until([&] { return stranger_.role.listening_.size() == 1; }));
  EXPECT_FALSE(stranger_.driver->is_listening());
  EXPECT_FALSE(stranger_.log.has("net.listen"));
  ASSERT_FALSE(stranger_.role.listening_[0]);
  EXPECT_EQ(stranger_.role.listening_[0].error().code, Code::kNetAddressInUse);
  taken.reset();
  stranger_.want(gate::Listen{true});
  ASSERT_TRUE(run_until([&] { return stranger_.role.listening_.size() == 2; }));
  EXPECT_TRUE(stranger_.role.listening_[1]);
  EXPECT_TRUE(stranger_.driver->is_listening());
  EXPECT_TRUE(stranger_.log.has("net.listen"));
  EXPECT_EQ(stranger_.driver->s2s_endpoints().front(), endpoint);
}

// A socket that is not bound would listen on any port.
TEST(Listener, that_could_not_be_bound_while_it_was_closed_takes_its_own_address_again) {
  asio::io_context io;
  auto listener = std::move(*Listener::bind(io, loopback(), limits::kDeadPeerSeconds, [](tcp::socket) {}));
  const dns::SocketAddress endpoint = listener->endpoint();
  ASSERT_TRUE(listener->open());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  listener->close();
  const Result<void> refused = listener->open();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(refused);
  EXPECT_FALSE(listener->is_open());
  ASSERT_TRUE(listener->open());
  EXPECT_EQ(listener->endpoint(), endpoint);
  tcp::socket peer(io);
  peer.connect(to_asio(endpoint));
}

TEST(ListenError, has_a_code_for_each_cause_that_people_meet) {
  const dns::SocketAddress endpoint = loopback();
  const std::pair<int, Code> cases[] = {{EADDRINUSE, Code::kNetAddressInUse},
                                        {EADDRNOTAVAIL, Code::kNetAddressAbsent},
                                        {EACCES, Code::kNetPermission},
                                        {EPERM, Code::kNetPermission},
                                        {EMFILE, Code::kNetListen}};
  for (const auto& [number, code] : cases) {
    const Error error = listen_error("metrics on", endpoint, {number, boost::system::system_category()});
    EXPECT_EQ(error.code, code) << number;
    EXPECT_TRUE(error.text.starts_with("metrics on " + endpoint.text() + ": ")) << error.text;
  }
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
  // In TLS 1.3 the dialling side finishes before it learns that it was refused.
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
  // Silent connections count, and one beyond the limit is refused.
  ASSERT_TRUE(run_until([&] { return stranger_.driver->counters().refused == 1; }));
  EXPECT_EQ(stranger_.driver->counters().accepted, limits::kUnauthenticatedPerAddressMax);
  EXPECT_TRUE(role.accepted_.empty());
  // One that sends counts, too, until it has proved a domain.
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
  // One that ends frees its place.
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
}  // namespace
}  // namespace sallyport::net

// Connections of several addresses at a full node: which are admitted, and which are displaced.
#include "net/driver_fixture.h"
#include "net/socket_address.h"

namespace sallyport::net {
namespace {

class DriverSharesTest : public DriverTest {
 protected:
  void start(const limits::Configured& max, bool inside = false) {
    DriverConfig config;
    config.s2s = {loopback()};
    config.traversal = {loopback()};
    config.listen_from_start = inside;
    config.core_pins = {{client_.identity.pin}};
    config.limits = max;
    stranger_.start(config);
    stranger_.want(gate::Listen{true});
    ASSERT_TRUE(run_until([&] { return stranger_.driver->is_listening(); }));
  }
  // A connection from 127.0.0.`host`.
  static tcp::socket come(asio::io_context& io, std::uint8_t host, const dns::SocketAddress& to) {
    tcp::socket peer(io, tcp::v4());
    peer.bind({asio::ip::address_v4({127, 0, 0, host}), 0});
    peer.connect(to_asio(to));
    return peer;
  }
  tcp::socket come(std::uint8_t host) { return come(io_, host, stranger_.driver->s2s_endpoints().front()); }
  // A connection that sends something, so that the role knows it; returns its id there.
  gate::ConnId come_and_speak(std::uint8_t host) {
    const std::size_t known = stranger_.role.accepted_.size();
    peers_.push_back(come(host));
    asio::write(peers_.back(), asio::buffer("<", 1));
    EXPECT_TRUE(run_until([&] { return stranger_.role.accepted_.size() == known + 1; }));
    return stranger_.role.accepted_.back();
  }
  const DriverCounters& counters() const { return stranger_.driver->counters(); }
  // The other end has closed it.
  static bool is_closed(tcp::socket& peer) {
    peer.non_blocking(true);
    char byte = 0;
    boost::system::error_code error;
    peer.read_some(asio::buffer(&byte, 1), error);
    return error && error != asio::error::would_block;
  }
  std::vector<gate::ConnId> ended() const { return stranger_.role.disconnected_; }

  std::vector<tcp::socket> peers_;
};

TEST_F(DriverSharesTest, when_all_unproved_places_are_taken_the_address_with_most_loses_its_oldest) {
  start({.unauthenticated = 4, .unauthenticated_per_address = 3});
  const gate::ConnId oldest = come_and_speak(1);
  const gate::ConnId second = come_and_speak(1);
  come_and_speak(1);
  come_and_speak(2);
  // The node is full. The new connection's address holds nothing, that of the first three holds most.
  const gate::ConnId newcomer = come_and_speak(3);
  EXPECT_EQ(ended(), std::vector<gate::ConnId>{oldest});
  EXPECT_EQ(stranger_.role.last_error_->code, Code::kStreamTooMany);
  ASSERT_TRUE(run_until([&] { return is_closed(peers_[0]); }));
  EXPECT_TRUE(stranger_.log.has("net.displaced"));
  // Two, one and one: an address that holds less than two displaces the next.
  come_and_speak(2);
  EXPECT_EQ(ended(), (std::vector<gate::ConnId>{oldest, second}));
  // One, two and one: the address with most cannot displace others.
  peers_.push_back(come(2));
  ASSERT_TRUE(run_until([&] { return counters().refused == 1; }));
  EXPECT_EQ(ended().size(), 2U);
  EXPECT_FALSE(stranger_.role.is_over(newcomer));
  EXPECT_EQ(counters().displaced, 2U);
}

TEST_F(DriverSharesTest, an_address_has_its_share_of_unproved_places_and_not_one_more) {
  start({.unauthenticated = 100, .unauthenticated_per_address = 3});
  for (int i = 0; i < 3; ++i) come_and_speak(1);
  peers_.push_back(come(1));
  ASSERT_TRUE(run_until([&] { return counters().refused == 1; }));
  come_and_speak(2);
  EXPECT_EQ(counters().displaced, 0U);
}

TEST_F(DriverSharesTest, an_internal_server_has_half_of_the_unproved_places) {
  start({.unauthenticated = 8, .unauthenticated_per_address = 1}, true);
  for (int i = 0; i < 4; ++i) come_and_speak(1);
  peers_.push_back(come(1));
  ASSERT_TRUE(run_until([&] { return counters().refused == 1; }));
  for (int i = 0; i < 4; ++i) come_and_speak(2);
  come_and_speak(3);
  EXPECT_EQ(counters().displaced, 1U);
}

TEST_F(DriverSharesTest, a_connection_that_has_proved_itself_gives_its_unproved_place_and_stays) {
  start({.unauthenticated = 2, .unauthenticated_per_address = 2});
  const gate::ConnId first = come_and_speak(1);
  come_and_speak(1);
  stranger_.role.proved_.insert(first);
  come_and_speak(2);
  EXPECT_EQ(ended(), std::vector<gate::ConnId>());
  EXPECT_EQ(stranger_.driver->connections(), 3U);
  EXPECT_EQ(counters().displaced, 0U);
}

TEST_F(DriverSharesTest, one_address_has_a_quarter_of_the_streams_and_a_full_node_takes_from_the_largest) {
  start({.streams = 8, .unauthenticated = 100, .unauthenticated_per_address = 100});
  std::vector<gate::ConnId> conns;
  for (const std::uint8_t host : {1, 1, 2, 2, 3, 3, 4, 4}) {
    conns.push_back(come_and_speak(host));
    stranger_.role.proved_.insert(conns.back());
  }
  // Authenticated connections count against the share, too.
  peers_.push_back(come(1));
  ASSERT_TRUE(run_until([&] { return counters().refused == 1; }));
  // Of several that hold most the one with the oldest stream is displaced.
  come_and_speak(5);
  EXPECT_EQ(ended(), std::vector<gate::ConnId>{conns[0]});
  come_and_speak(5);
  EXPECT_EQ(ended(), (std::vector<gate::ConnId>{conns[0], conns[2]}));
  EXPECT_EQ(stranger_.driver->connections(), 8U);
}

TEST_F(DriverSharesTest, an_internal_server_has_half_of_the_streams) {
  start({.streams = 8, .unauthenticated = 100}, true);
  for (int i = 0; i < 4; ++i) come_and_speak(1);
  peers_.push_back(come(1));
  ASSERT_TRUE(run_until([&] { return counters().refused == 1; }));
  come_and_speak(2);
}

TEST_F(DriverSharesTest, a_handshake_finds_room_while_other_addresses_hold_all_of_them) {
  start({});
  const dns::SocketAddress traversal = stranger_.driver->traversal_endpoints().front();
  constexpr std::size_t kHosts = limits::kTraversalHandshakesMax / limits::kTraversalHandshakesPerAddressMax;
  for (std::size_t i = 0; i < limits::kTraversalHandshakesMax; ++i) {
    peers_.push_back(come(io_, static_cast<std::uint8_t>(1 + i % kHosts), traversal));
  }
  ASSERT_TRUE(run_until([&] { return stranger_.driver->connections() == limits::kTraversalHandshakesMax; }));
  EXPECT_EQ(counters().refused + counters().displaced, 0U);
  peers_.push_back(come(io_, 100, traversal));
  ASSERT_TRUE(run_until([&] { return counters().displaced == 1; }));
  ASSERT_TRUE(run_until([&] { return is_closed(peers_.front()); }));
  EXPECT_FALSE(is_closed(peers_.back()));
  EXPECT_EQ(counters().refused, 0U);
}

}  // namespace
}  // namespace sallyport::net

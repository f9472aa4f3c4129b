// Two shards of one node, in one thread: how connections are assigned, and what they share. (test/cli and the
// thread sanitizer test that they may run in two threads.)
#include <boost/asio/read.hpp>

#include "net/driver_fixture.h"
#include "s2s/header_hint.h"

namespace sallyport::net {
namespace {

class ShardsTest : public DriverTest {
 protected:
  void TearDown() override {
    for (TestNode* node : {&first_, &second_, &core_0_, &core_1_, &other_core_}) {
      if (node->driver) node->driver->stop();
    }
    DriverTest::TearDown();
  }

  Driver::Parts parts(TestNode& node, std::size_t number) {
    node.link = *LinkTls::make(node.identity.certificate, node.identity.key, {number, shards_.count()});
    return {io_,         node.role, node.dialer, node.tls, *node.link, &node.certificates,
            node.worker, node.log,  &shards_,    number};
  }
  // A node with two shards, which listens as an edge does.
  void start(bool inside = false) {
    DriverConfig config;
    config.s2s = {loopback()};
    config.traversal = {loopback()};
    config.listen_from_start = inside;
    config.core_pins = {{core_0_.identity.pin, core_1_.identity.pin}, {other_core_.identity.pin}};
    config.limits = limits_;
    first_.driver.emplace(parts(first_, 0), config);
    config.s2s.clear();
    config.traversal.clear();
    config.listen_from_start = inside;
    second_.driver.emplace(parts(second_, 1), config);
    ASSERT_TRUE(first_.driver->start());
    ASSERT_TRUE(second_.driver->start());
    for (TestNode* node : {&first_, &second_}) node->certificates.use({pem_for("server.example")});
  }
  void listen() {
    shards_.use(1, true);
    first_.want(gate::Listen{true});
    second_.want(gate::Listen{true});
    ASSERT_TRUE(run_until([&] { return first_.driver->is_listening(); }));
  }
  tcp::socket come() {
    tcp::socket peer(io_);
    peer.connect(to_asio(first_.driver->s2s_endpoints().front()));
    return peer;
  }
  static std::string header(const std::string& from, const std::string& to = "local.example") {
    return "<?xml version='1.0'?><stream:stream to='" + to + "' from='" + from + "'>";
  }
  // A domain that belongs to that shard.
  static std::string domain_of(std::size_t shard) {
    for (int i = 0;; ++i) {
      std::string name = "r" + std::to_string(i) + ".example";
      if (s2s::shard_of(name, 2) == shard) return name;
    }
  }
  std::size_t accepted(TestNode& node) const { return node.role.accepted_.size(); }

  // A core whose shard `number` of `count` dials the node's traversal port.
  void start_core(TestNode& core, link::Shard shard) {
    core.link = *LinkTls::make(core.identity.certificate, core.identity.key, shard);
    DriverConfig config;
    config.edges = {{host_port(first_.driver->traversal_endpoints().front()), {first_.identity.pin}}};
    core.driver.emplace(
        Driver::Parts{io_, core.role, core.dialer, core.tls, *core.link, nullptr, core.worker, core.log},
        config);
    ASSERT_TRUE(core.driver->start());
  }

  limits::Configured limits_;
  Shards shards_{2};
  TestNode first_{io_};
  TestNode second_{io_};
  TestNode core_0_{io_};
  TestNode core_1_{io_};
  TestNode other_core_{io_};
};

TEST_F(ShardsTest, a_stream_goes_to_the_shard_of_its_remote_domain_whole) {
  start();
  listen();
  std::vector<tcp::socket> peers;
  for (std::size_t shard : {1U, 0U, 1U}) {
    peers.push_back(come());
    asio::write(peers.back(), asio::buffer(header(domain_of(shard))));
  }
  ASSERT_TRUE(
      run_until([&] { return second_.role.received_.size() == 2 && first_.role.received_.size() == 1; }));
  for (TestNode* node : {&first_, &second_}) {
    for (const auto& [conn, bytes] : node->role.received_) {
      EXPECT_EQ(bytes, header(domain_of(node == &second_ ? 1 : 0)));
    }
  }
  EXPECT_EQ(second_.role.last_peer_.port, from_asio(peers[2].local_endpoint()).port);
  second_.say(second_.role.accepted_.front(), "answer");
  std::string answer(6, ' ');
  ASSERT_TRUE(run_until([&] { return peers[0].available() == 6; }));
  asio::read(peers[0], asio::buffer(answer));
  EXPECT_EQ(answer, "answer");
}

TEST_F(ShardsTest, inside_the_remote_domain_is_where_a_stream_goes_to) {
  start(true);
  shards_.use(1, true);
  tcp::socket peer = come();
  asio::write(peer, asio::buffer(header(domain_of(0), domain_of(1))));
  ASSERT_TRUE(run_until([&] { return accepted(second_) == 1; }));
  EXPECT_EQ(accepted(first_), 0U);
}

TEST_F(ShardsTest, a_header_in_pieces_is_waited_for_and_not_forever) {
  start();
  listen();
  tcp::socket peer = come();
  const std::string text = header(domain_of(1));
  const std::string byte_by_byte = text.substr(0, text.find("from=") + 8);
  for (char byte : byte_by_byte) {
    asio::write(peer, asio::buffer(&byte, 1));
    io_.run_one_for(20ms);
    EXPECT_EQ(accepted(first_) + accepted(second_), 0U);
  }
  asio::write(peer, asio::buffer(text.substr(byte_by_byte.size())));
  ASSERT_TRUE(run_until([&] { return accepted(second_) == 1; }));
  tcp::socket slow = come();
  asio::write(slow, asio::buffer("<", 1));
  ASSERT_TRUE(run_until([&] { return accepted(first_) + accepted(second_) == 2; }));
}

TEST_F(ShardsTest, while_a_header_is_waited_for_the_loop_rests) {
  start();
  listen();
  tcp::socket peer = come();
  asio::write(peer, asio::buffer("<stream:stream", 14));
  ASSERT_TRUE(run_until([&] { return first_.driver->counters().accepted == 1; }));
  std::size_t events = 0;
  auto end = std::chrono::steady_clock::now() + 300ms;
  while (std::chrono::steady_clock::now() < end) events += io_.run_one_for(50ms);
  EXPECT_LT(events, 20U);
}

TEST_F(ShardsTest, a_peer_that_ends_in_its_header_is_over) {
  start();
  listen();
  tcp::socket peer = come();
  asio::write(peer, asio::buffer("<stream:stream", 14));
  peer.close();
  ASSERT_TRUE(run_until([&] { return accepted(first_) + accepted(second_) == 1; }));
  ASSERT_TRUE(run_until([&] { return shards_.connections() == 0; }));
}

TEST_F(ShardsTest, direct_tls_and_headers_without_a_hint_take_turns) {
  start();
  listen();
  std::vector<tcp::socket> peers;
  for (const char* text : {"<stream:stream>", "<stream:stream>", "nonsense>", "nonsense>"}) {
    peers.push_back(come());
    asio::write(peers.back(), asio::buffer(std::string(text)));
    ASSERT_TRUE(run_until([&] { return accepted(first_) + accepted(second_) == peers.size(); }));
  }
  EXPECT_EQ(accepted(first_), 2U);
  client_.dialer.direct_tls = true;
  for (gate::ConnId conn : {2U, 4U}) {
    gate::DialPlan plan;
    plan.steps.push_back({host_port(first_.driver->s2s_endpoints().front()), true});
    client_.want(gate::Dial{conn, plan});
    ASSERT_TRUE(run_until([&] { return client_.role.connected_.size() == conn / 2; }));
    client_.want(initiating(conn, true));
  }
  ASSERT_TRUE(run_until([&] { return client_.role.tls_.size() == 2; }));
  for (TestNode* node : {&first_, &second_}) {
    ASSERT_TRUE(run_until([&] { return node->role.tls_.size() == 1; }));
    EXPECT_TRUE(node->role.direct_tls_);
    EXPECT_TRUE(node->role.tls_.begin()->second);
  }
}

TEST_F(ShardsTest, what_is_not_in_use_gets_nothing) {
  start(true);
  tcp::socket peer = come();
  asio::write(peer, asio::buffer(header("x", domain_of(1))));
  ASSERT_TRUE(run_until([&] { return accepted(first_) == 1; }));
}

TEST_F(ShardsTest, the_listeners_are_open_while_all_in_use_want_it) {
  start();
  listen();
  second_.want(gate::Listen{false});
  ASSERT_TRUE(run_until([&] { return !first_.driver->is_listening(); }));
  second_.want(gate::Listen{true});
  ASSERT_TRUE(run_until([&] { return first_.driver->is_listening(); }));
}

TEST_F(ShardsTest, the_limit_of_an_address_holds_for_the_node) {
  start();
  listen();
  std::vector<tcp::socket> peers;
  for (std::size_t i = 0; i < limits::kUnauthenticatedPerAddressMax; ++i) {
    peers.push_back(come());
    asio::write(peers.back(), asio::buffer(header(domain_of(1))));
  }
  ASSERT_TRUE(run_until([&] { return accepted(second_) == peers.size(); }));
  // All connections count, though the first shard carries none.
  peers.push_back(come());
  ASSERT_TRUE(run_until([&] { return first_.driver->counters().refused == 1; }));
  // Authenticated connections of the second shard do not count; it is asked before a connection is refused.
  second_.role.proved_.insert(second_.role.accepted_.begin(), second_.role.accepted_.end());
  auto rested = std::chrono::steady_clock::now() + 2 * limits::kCountAgainAfter;
  run_until([&] { return std::chrono::steady_clock::now() > rested; });
  peers.push_back(come());
  asio::write(peers.back(), asio::buffer(header(domain_of(0))));
  ASSERT_TRUE(run_until([&] { return accepted(first_) == 1; }));
  EXPECT_EQ(first_.driver->counters().refused, 1U);
  // Connections that have ended do not count.
  EXPECT_EQ(shards_.connections(), limits::kUnauthenticatedPerAddressMax + 1);
  peers.clear();
  ASSERT_TRUE(run_until([&] { return shards_.connections() == 0; }));
}

TEST_F(ShardsTest, few_wait_for_a_shard_that_is_slow_to_count) {
  asio::io_context slow{1};
  TestNode busy(slow);
  DriverConfig config;
  config.s2s = {loopback()};
  for (TestNode* node : {&first_, &busy}) {
    node->link = *LinkTls::make(node->identity.certificate, node->identity.key);
    node->driver.emplace(Driver::Parts{node->io_, node->role, node->dialer, node->tls, *node->link, nullptr,
                                       node->worker, node->log, &shards_, node == &busy ? 1U : 0U},
                         config);
    ASSERT_TRUE(node->driver->start());
  }
  first_.want(gate::Listen{true});
  ASSERT_TRUE(run_until([&] { return first_.driver->is_listening(); }));
  std::vector<tcp::socket> peers;
  for (std::size_t i = 0; i < limits::kUnauthenticatedPerAddressMax + limits::kAcceptedUndecidedPerAddressMax;
       ++i) {
    peers.push_back(come());
  }
  ASSERT_TRUE(
      run_until([&] { return first_.driver->counters().accepted == limits::kUnauthenticatedPerAddressMax; }));
  peers.push_back(come());
  ASSERT_TRUE(run_until([&] { return first_.driver->counters().refused == 1; }));
  slow.run();
  ASSERT_TRUE(run_until(
      [&] { return first_.driver->counters().refused == 1 + limits::kAcceptedUndecidedPerAddressMax; }));
  busy.driver->stop();
  slow.restart();
  slow.run();
}

TEST_F(ShardsTest, of_those_that_wait_for_a_slow_shard_the_address_with_most_gives_way) {
  asio::io_context slow{1};
  TestNode busy(slow);
  DriverConfig config;
  config.s2s = {loopback()};
  config.limits.unauthenticated_per_address = 1;
  for (TestNode* node : {&first_, &busy}) {
    node->link = *LinkTls::make(node->identity.certificate, node->identity.key);
    node->driver.emplace(Driver::Parts{node->io_, node->role, node->dialer, node->tls, *node->link, nullptr,
                                       node->worker, node->log, &shards_, node == &busy ? 1U : 0U},
                         config);
    ASSERT_TRUE(node->driver->start());
  }
  first_.want(gate::Listen{true});
  ASSERT_TRUE(run_until([&] { return first_.driver->is_listening(); }));
  const auto come_from = [&](std::uint8_t host) {
    tcp::socket peer(io_, tcp::v4());
    peer.bind({asio::ip::address_v4({127, 0, 0, host}), 0});
    peer.connect(to_asio(first_.driver->s2s_endpoints().front()));
    return peer;
  };
  std::vector<tcp::socket> peers;
  constexpr std::size_t kHosts = limits::kAcceptedUndecidedMax / limits::kAcceptedUndecidedPerAddressMax;
  for (std::uint8_t host = 1; host <= kHosts; ++host) {
    // One connection that counts, and as many as may wait.
    for (std::size_t i = 0; i <= limits::kAcceptedUndecidedPerAddressMax; ++i)
      peers.push_back(come_from(host));
  }
  peers.push_back(come_from(100));
  peers.push_back(come_from(100));
  // The first connection from there counts; the second waits in the place of another.
  ASSERT_TRUE(run_until([&] { return first_.driver->counters().accepted == kHosts + 1; }));
  ASSERT_TRUE(run_until([&] { return first_.driver->counters().refused == 1; }));
  busy.driver->stop();
  slow.restart();
  slow.run();
}

TEST_F(ShardsTest, who_gives_way_may_be_in_another_shard) {
  limits_.unauthenticated = 2;
  limits_.unauthenticated_per_address = 2;
  start();
  listen();
  std::vector<tcp::socket> peers;
  for (int i = 0; i < 2; ++i) {
    peers.push_back(come());
    asio::write(peers.back(), asio::buffer(header(domain_of(1))));
    ASSERT_TRUE(run_until([&] { return accepted(second_) == peers.size(); }));
  }
  tcp::socket other(io_, tcp::v4());
  other.bind({asio::ip::make_address_v4("127.0.0.2"), 0});
  other.connect(to_asio(first_.driver->s2s_endpoints().front()));
  ASSERT_TRUE(run_until([&] { return second_.role.disconnected_.size() == 1; }));
  EXPECT_EQ(second_.role.disconnected_.front(), second_.role.accepted_.front());
  EXPECT_EQ(second_.driver->counters().displaced, 1U);
  EXPECT_EQ(first_.driver->counters().refused, 0U);
}

TEST_F(ShardsTest, a_link_goes_to_the_shard_that_it_names) {
  start();
  start_core(core_0_, {0, 2});
  start_core(core_1_, {1, 2});
  core_1_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return second_.role.links_.size() == 1 && core_1_.role.links_.size() == 1; }));
  EXPECT_EQ(shards_.in_use(), 2U);
  core_1_.say(2, "greeting");
  ASSERT_TRUE(run_until([&] { return second_.role.received_[second_.role.links_.front()] == "greeting"; }));
  second_.say(second_.role.links_.front(), "welcome");
  ASSERT_TRUE(run_until([&] { return core_1_.role.received_[2] == "welcome"; }));
  core_0_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return first_.role.links_.size() == 1; }));
  EXPECT_EQ(first_.role.link_peer_, 0U);
}

TEST_F(ShardsTest, an_edge_uses_as_many_shards_as_its_core_has) {
  start();
  start_core(core_1_, {1, 2});
  core_1_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return shards_.in_use() == 2; }));
  core_1_.want(gate::Disconnect{2});
  ASSERT_TRUE(run_until([&] { return shards_.connections() == 0; }));
  start_core(core_0_, {});
  core_0_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return first_.role.links_.size() == 1; }));
  EXPECT_EQ(shards_.in_use(), 1U);
}

TEST_F(ShardsTest, a_shard_that_the_edge_does_not_have_is_refused_with_a_code) {
  start();
  start_core(core_1_, {2, 3});
  core_1_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return core_1_.role.dial_failed_.size() == 1; }));
  EXPECT_EQ(core_1_.role.last_error_->code, Code::kLinkShard);
  EXPECT_TRUE(first_.role.links_.empty() && second_.role.links_.empty());
}

TEST_F(ShardsTest, shards_of_two_cores_are_not_mixed) {
  start();
  start_core(core_0_, {0, 2});
  start_core(other_core_, {1, 2});
  core_0_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return first_.role.links_.size() == 1; }));
  other_core_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return other_core_.role.disconnected_.size() == 1; }));
  EXPECT_NE(other_core_.role.received_[2].find("link.second-core"), std::string::npos);
  EXPECT_TRUE(second_.role.links_.empty());
  // Once the first has ended the other may have all of them.
  core_0_.want(gate::Disconnect{2});
  ASSERT_TRUE(run_until([&] { return shards_.connections() == 0; }));
  other_core_.want(gate::DialLink{4, 0});
  ASSERT_TRUE(run_until([&] { return second_.role.links_.size() == 1; }));
  EXPECT_EQ(second_.role.link_peer_, 1U);
}

// A core whose shard 1 dials edges that may have a shard of that number or none.
class CoreShardTest : public ShardsTest {
 protected:
  void start_shard(const std::vector<TestNode*>& edges) {
    DriverConfig config;
    for (TestNode* edge : edges) {
      config.edges.push_back({host_port(edge->driver->traversal_endpoints().front()), {edge->identity.pin}});
    }
    core_0_.driver.emplace(parts(core_0_, 0), DriverConfig{});
    core_1_.driver.emplace(parts(core_1_, 1), config);
    ASSERT_TRUE(core_1_.driver->start());
  }
  void start_edge(TestNode& edge, std::size_t count) {
    edge.link = *LinkTls::make(edge.identity.certificate, edge.identity.key, {0, count});
    DriverConfig config;
    config.traversal = {loopback()};
    config.core_pins = {{core_1_.identity.pin}};
    edge.driver.emplace(
        Driver::Parts{io_, edge.role, edge.dialer, edge.tls, *edge.link, nullptr, edge.worker, edge.log},
        config);
    ASSERT_TRUE(edge.driver->start());
  }
};

TEST_F(CoreShardTest, carries_streams_from_its_first_link_until_no_edge_has_a_shard_for_it) {
  start_edge(first_, 1);
  start_edge(second_, 2);
  start_shard({&first_, &second_});
  EXPECT_EQ(shards_.in_use(), 1U);
  core_1_.want(gate::DialLink{2, 0});
  ASSERT_TRUE(run_until([&] { return core_1_.role.dial_failed_.size() == 1; }));
  EXPECT_EQ(core_1_.role.last_error_->code, Code::kLinkShard);
  EXPECT_EQ(shards_.in_use(), 1U);
  core_1_.want(gate::DialLink{4, 1});
  ASSERT_TRUE(run_until([&] { return core_1_.role.links_.size() == 1; }));
  EXPECT_EQ(shards_.in_use(), 2U);
  // A link that breaks changes nothing; an edge that comes back with fewer shards does.
  core_1_.want(gate::Disconnect{4});
  ASSERT_TRUE(run_until([&] { return second_.role.disconnected_.size() == 1; }));
  EXPECT_EQ(shards_.in_use(), 2U);
  dns::SocketAddress where = second_.driver->traversal_endpoints().front();
  second_.driver->stop();
  second_.driver.reset();
  second_.link = *LinkTls::make(second_.identity.certificate, second_.identity.key);
  DriverConfig config;
  config.traversal = {where};
  config.core_pins = {{core_1_.identity.pin}};
  second_.driver.emplace(Driver::Parts{io_, second_.role, second_.dialer, second_.tls, *second_.link, nullptr,
                                       second_.worker, second_.log},
                         config);
  ASSERT_TRUE(second_.driver->start());
  core_1_.want(gate::DialLink{6, 1});
  ASSERT_TRUE(run_until([&] { return core_1_.role.dial_failed_.size() == 2; }));
  EXPECT_EQ(shards_.in_use(), 1U);
}

}  // namespace
}  // namespace sallyport::net

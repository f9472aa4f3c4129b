// One source has its share of an endpoint's budgets, and another's stanzas and streams go on meanwhile.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "gate/endpoint.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
Pair pair_with(std::string_view remote) { return {domain("example.com"), domain(remote)}; }
dns::SocketAddress from(std::uint8_t last) { return {dns::Ip::v4({198, 51, 100, last}), 40'000}; }

// Everybody is served, and everybody's server can be looked for; none of them answers.
struct Open : PolicyView, Random, LogSink {
  Result<void> serves(const xmpp::Domain&) const override { return {}; }
  Result<void> admits(const Pair&, UnixTime) const override { return {}; }
  policy::PeerRules rules(const Pair&) const override {
    policy::PeerRules rules;
    rules.tls = policy::TlsRule::kNone;
    rules.authenticate = policy::Authenticate::kDialback;
    return rules;
  }
  policy::TlsRule minimum_tls(const xmpp::Domain&, const std::optional<xmpp::Domain>&) const override {
    return policy::TlsRule::kNone;
  }
  Result<DialPlan> find(const Pair& pair, UnixTime) const override {
    DialPlan plan;
    plan.dns = pair.remote;
    return plan;
  }
  bool is_internal() const override { return internal; }
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, std::uint8_t{7}); }
  void log(LogEvent) override {}
  bool internal = false;
};

struct EndpointShares : ::testing::Test {
  void start(limits::Configured limits = {}, bool internal = false) {
    open.internal = internal;
    endpoint = std::make_unique<Endpoint>(Endpoint::Setup{"world", open, ids, open, open, limits});
  }
  void SetUp() override { start(); }

  void accept(ConnId conn, dns::SocketAddress peer) {
    endpoint->handle_accepted(conn, {peer, {}, false}, now);
    endpoint->handle_bytes(
        conn,
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "xmlns:db='jabber:server:dialback' to='example.com' version='1.0'>",
        now);
    look();
  }
  void show_key(ConnId conn, const std::string& remote) {
    endpoint->handle_bytes(conn, "<db:result from='" + remote + "' to='example.com'>00ff</db:result>", now);
    look();
  }
  // Takes all outputs.
  void look() {
    while (auto output = endpoint->poll()) {
      if (auto* failed = std::get_if<StanzaReturned>(&*output))
        ended.emplace_back(failed->ticket, std::string(code_row(failed->error.code).name));
      auto* pass = std::get_if<Output>(&*output);
      if (pass == nullptr) continue;
      if (auto* dial = std::get_if<Dial>(pass)) dialled.emplace(dial->conn, dial->plan.dns->ascii());
      if (auto* end = std::get_if<Disconnect>(pass)) dialled.erase(end->conn), ++disconnected;
      if (auto* flush = std::get_if<Flush>(pass)) {
        std::string bytes;
        while (endpoint->take_output(flush->conn, bytes)) said[flush->conn] += std::exchange(bytes, {});
      }
    }
  }
  std::set<std::string> dialled_names() const {
    std::set<std::string> names;
    for (const auto& [conn, name] : dialled) names.insert(name);
    return names;
  }
  ConnId conn_to(const std::string& name) const {
    for (const auto& [conn, to] : dialled)
      if (to == name) return conn;
    return 0;
  }
  std::size_t refusals(ConnId conn) const {
    std::size_t count = 0;
    const auto at = said.find(conn);
    if (at == said.end()) return 0;
    for (auto pos = at->second.find("<resource-constraint"); pos != std::string::npos;
         pos = at->second.find("<resource-constraint", pos + 1))
      ++count;
    return count;
  }
  void send(const Pair& pair, Ticket ticket, std::size_t bytes = 10) {
    std::string xml = "<message/>";
    xml.resize(std::max(bytes, xml.size()), ' ');
    endpoint->send(pair,
                   {xmpp::StanzaKind::kMessage,
                    xmpp::Jid::of(pair.local),
                    xmpp::Jid::of(pair.remote),
                    "1",
                    "chat",
                    {},
                    std::move(xml)},
                   ticket, now);
    look();
  }
  std::size_t failed_with(const std::string& code) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(ended, [&](const auto& each) { return each.second == code; }));
  }

  Open open;
  ConnIds ids;
  Now now{Time{1s}, {}};
  std::unique_ptr<Endpoint> endpoint;
  std::map<ConnId, std::string> dialled;  // and not ended
  std::size_t disconnected = 0;
  std::map<ConnId, std::string> said;
  std::vector<std::pair<Ticket, std::string>> ended;
};

constexpr std::size_t kOneAddress = limits::address_share(limits::kVerificationsMax);
constexpr std::size_t kOnePeer = limits::peer_share(limits::kVerificationsMax);

// --- verifications

TEST_F(EndpointShares, keys_from_one_address_whose_servers_swallow_packets_leave_others_their_dialback) {
  int name = 0;
  for (ConnId conn = 1; conn < 2 * 32; conn += 2) {
    accept(conn, from(1));
    for (int i = 0; i < 8; ++i) show_key(conn, "s" + std::to_string(++name) + ".example");
  }
  EXPECT_EQ(dialled.size(), kOneAddress);
  std::size_t refused = 0;
  for (ConnId conn = 1; conn < 2 * 32; conn += 2) refused += refusals(conn);
  EXPECT_EQ(refused, 32 * 8 - kOneAddress);

  accept(101, from(2));
  show_key(101, "honest.example");
  EXPECT_EQ(refusals(101), 0u);
  const ConnId asked = conn_to("honest.example");
  ASSERT_NE(asked, 0u);
  endpoint->handle_connected(asked, {from(3), false, "test"}, now);
  endpoint->handle_bytes(
      asked,
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
      "xmlns:db='jabber:server:dialback' id='v' from='honest.example' to='example.com' "
      "version='1.0'><stream:features/>",
      now);
  look();
  const std::string& question = said[asked];
  const auto id = question.find(" id='");
  ASSERT_NE(id, std::string::npos) << question;
  const std::string stream_id = question.substr(id + 5, question.find('\'', id + 5) - id - 5);
  endpoint->handle_bytes(
      asked, "<db:verify from='honest.example' to='example.com' id='" + stream_id + "' type='valid'/>", now);
  look();
  EXPECT_TRUE(endpoint->is_proved(101)) << said[101];
}

TEST_F(EndpointShares, hosts_of_one_ipv6_network_are_one_source) {
  const auto host = [](int last) {
    return dns::SocketAddress{*dns::Ip::parse("2001:db8:1:1::" + std::to_string(last)), 40'000};
  };
  for (int i = 1; i <= static_cast<int>(kOneAddress); ++i) {
    accept(2 * i + 1, host(i));
    show_key(2 * i + 1, "s" + std::to_string(i) + ".example");
  }
  EXPECT_EQ(dialled.size(), kOneAddress);
  accept(1, host(99));
  show_key(1, "one-more.example");
  EXPECT_EQ(refusals(1), 1u);
  accept(1001, {*dns::Ip::parse("2001:db8:1:2::1"), 40'000});
  show_key(1001, "other.example");
  EXPECT_EQ(refusals(1001), 0u);
}

TEST_F(EndpointShares, when_many_addresses_fill_all_verifications_the_largest_loses_its_oldest) {
  int name = 0;
  const auto fill = [&](std::uint8_t address, std::size_t count) {
    ConnId conn = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (i % 8 == 0) accept(conn = 1 + 1'000u * address + 2 * i, from(address));
      show_key(conn, "s" + std::to_string(++name) + ".example");
    }
  };
  fill(1, kOneAddress - 1);
  fill(2, kOneAddress);
  for (std::uint8_t address = 3; address <= limits::kAddressShareOf; ++address)
    fill(address, kOneAddress - 1);
  fill(9, limits::kAddressShareOf - 1);
  ASSERT_EQ(dialled.size(), limits::kVerificationsMax);
  const std::string oldest = "s" + std::to_string(kOneAddress) + ".example";
  ASSERT_TRUE(dialled_names().contains(oldest));

  accept(100'001, from(200));
  show_key(100'001, "honest.example");
  EXPECT_EQ(refusals(100'001), 0u);
  EXPECT_EQ(refusals(2'001), 1u) << said[2'001];
  EXPECT_FALSE(dialled_names().contains(oldest)) << "its connection is given up too";
  EXPECT_TRUE(dialled_names().contains("honest.example"));
  EXPECT_EQ(dialled.size(), limits::kVerificationsMax);
}

TEST_F(EndpointShares, names_of_one_parent_have_their_share_from_however_many_addresses) {
  int name = 0;
  for (std::size_t i = 0; i < kOnePeer; ++i) {
    const ConnId conn = 2 * i + 1;
    accept(conn, from(static_cast<std::uint8_t>(i)));
    show_key(conn, "s" + std::to_string(++name) + ".zone.example");
  }
  EXPECT_EQ(dialled.size(), kOnePeer);
  accept(1001, from(250));
  show_key(1001, "one-more.zone.example");
  EXPECT_EQ(refusals(1001), 1u);
  show_key(1001, "other.example");
  EXPECT_TRUE(dialled_names().contains("other.example"));
}

TEST_F(EndpointShares, keys_shown_in_a_peers_name_do_not_spend_that_peers_share) {
  int name = 0;
  for (std::uint8_t address = 1; address <= 3; ++address) {
    ConnId conn = 0;
    for (std::size_t i = 0; i < kOneAddress; ++i) {
      if (i % 8 == 0) accept(conn = 1 + 1'000u * address + 2 * i, from(address));
      show_key(conn, "s" + std::to_string(++name) + ".victim.example");
    }
  }
  ASSERT_EQ(dialled.size(), kOnePeer);
  accept(100'001, from(200));
  show_key(100'001, "victim.example");
  EXPECT_EQ(refusals(100'001), 0u);
  EXPECT_TRUE(dialled_names().contains("victim.example"));
}

TEST_F(EndpointShares, one_pair_asked_about_by_many_is_one_connection_and_each_question_counts) {
  for (std::size_t i = 0; i < kOneAddress; ++i) {
    accept(2 * i + 1, from(1));
    show_key(2 * i + 1, "victim.example");
  }
  EXPECT_EQ(dialled.size(), 1u);
  accept(1001, from(1));
  show_key(1001, "victim.example");
  EXPECT_EQ(refusals(1001), 1u);
  accept(1003, from(2));
  show_key(1003, "victim.example");
  EXPECT_EQ(refusals(1003), 0u);
  // All are free again when the connection is gone.
  endpoint->handle_dial_failed(conn_to("victim.example"), {Code::kDialTimeout, {}}, now);
  look();
  accept(1005, from(1));
  for (int i = 0; i < 8; ++i) show_key(1005, "t" + std::to_string(i) + ".example");
  EXPECT_EQ(refusals(1005), 0u);
}

TEST_F(EndpointShares, an_internal_server_may_have_most_verifications_and_not_all) {
  start({}, true);
  constexpr std::size_t kOne = limits::internal_share(limits::kVerificationsMax);
  std::size_t asked = 0;
  for (ConnId conn = 1; asked < kOne; conn += 2) {
    accept(conn, from(1));
    for (int i = 0; i < 8 && asked < kOne; ++i) show_key(conn, "s" + std::to_string(++asked) + ".example");
  }
  EXPECT_EQ(dialled.size(), kOne);
  accept(10'001, from(1));
  show_key(10'001, "more.example");
  EXPECT_EQ(refusals(10'001), 1u);
  accept(10'003, from(2));
  show_key(10'003, "other.example");
  EXPECT_EQ(refusals(10'003), 0u);
}

// --- streams that are being opened

constexpr std::size_t kDialsOfOne = limits::peer_share(limits::kDialsMax);

TEST_F(EndpointShares, stanzas_to_many_names_of_one_zone_leave_others_their_dials) {
  for (int i = 0; i < 10'000; ++i) send(pair_with("s" + std::to_string(i) + ".zone.example"), 1);
  EXPECT_EQ(dialled.size(), kDialsOfOne);
  send(pair_with("honest.example"), 2);
  EXPECT_TRUE(dialled_names().contains("honest.example"));
  EXPECT_EQ(failed_with("delivery.queue-full"), 0u) << "the others wait";
  // One after the other they get their turn.
  endpoint->handle_dial_failed(conn_to("s0.zone.example"), {Code::kDialRefused, {}}, now);
  dialled.erase(conn_to("s0.zone.example"));
  look();
  EXPECT_TRUE(dialled_names().contains("s" + std::to_string(kDialsOfOne) + ".zone.example"));
  EXPECT_EQ(dialled.size(), kDialsOfOne + 1);
}

TEST_F(EndpointShares, who_waits_for_a_dial_is_answered_in_time) {
  for (std::size_t i = 0; i <= kDialsOfOne; ++i)
    send(pair_with("s" + std::to_string(i) + ".zone.example"), i + 1);
  now.mono += limits::kDeliveryTimeout;
  endpoint->handle_timeout(now);
  look();
  EXPECT_EQ(failed_with("delivery.timeout"), kDialsOfOne + 1);
  // The one whose stanza is gone is not dialled when there is room.
  endpoint->handle_dial_failed(conn_to("s0.zone.example"), {Code::kDialTimeout, {}}, now);
  look();
  EXPECT_FALSE(dialled_names().contains("s" + std::to_string(kDialsOfOne) + ".zone.example"));
}

TEST_F(EndpointShares, when_all_dials_are_in_use_the_largest_loses_its_oldest) {
  for (int zone = 0; zone < 4; ++zone)
    for (std::size_t i = 0; i < kDialsOfOne; ++i)
      send(pair_with("s" + std::to_string(i) + ".zone" + std::to_string(zone) + ".example"), 1);
  ASSERT_EQ(dialled.size(), limits::kDialsMax);
  for (int i = 0; i < 10; ++i) send(pair_with("honest" + std::to_string(i) + ".example"), 2);
  EXPECT_EQ(dialled.size(), limits::kDialsMax);
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(dialled_names().contains("honest" + std::to_string(i) + ".example"));
  EXPECT_EQ(failed_with("delivery.queue-full"), 10u);
  EXPECT_FALSE(dialled_names().contains("s0.zone0.example"));
}

// --- stanzas that wait

limits::Configured small() {
  limits::Configured limits;
  limits.waiting_bytes = 8 * limits::kCanonicalBytesMax;
  return limits;
}
constexpr std::size_t kBig = 100'000;
constexpr std::size_t kCost = kBig + limits::kStanzaOverheadBytes;

TEST_F(EndpointShares, what_waits_for_one_peer_has_its_share_and_not_one_more) {
  start(small());
  const std::size_t fit = limits::waiting_share(small().waiting_bytes) / kCost;
  for (std::size_t i = 0; i < fit; ++i)
    send(pair_with(i % 2 == 0 ? "a.zone.example" : "b.zone.example"), 1, kBig);
  EXPECT_EQ(ended.size(), 0u);
  send(pair_with("c.zone.example"), 7, kBig);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0], (std::pair<Ticket, std::string>{7, "delivery.queue-full"}));
  send(pair_with("honest.example"), 8, kBig);
  EXPECT_EQ(ended.size(), 1u);
}

TEST_F(EndpointShares, when_much_waits_for_all_the_largest_loses_its_oldest_stanza) {
  start(small());
  const std::size_t all = small().waiting_bytes / kCost;
  Ticket ticket = 0;
  while (endpoint->waiting() < all) {
    ++ticket;
    send(pair_with("peer" + std::to_string(ticket % 5) + ".example"), ticket, kBig);
  }
  ended.clear();
  send(pair_with("honest.example"), 1'000, kBig);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_LE(ended[0].first, 5u) << "the oldest of one of them";
  EXPECT_EQ(endpoint->waiting(), all);
  // As with the answers, which nobody waits for: they are bounded like all else.
  for (int i = 0; i < 1'000; ++i) send(pair_with("flood.example"), 0, kBig);
  EXPECT_LE(endpoint->waiting(), all);
}

TEST_F(EndpointShares, what_was_given_back_waits_no_longer) {
  start(small());
  const std::size_t fit = limits::waiting_share(small().waiting_bytes) / kCost;
  for (int round = 0; round < 3; ++round) {
    const auto remote = "a" + std::to_string(round) + ".zone.example";
    for (std::size_t i = 0; i < fit; ++i) send(pair_with(remote), 1, kBig);
    EXPECT_EQ(failed_with("delivery.queue-full"), 0u);
    endpoint->handle_dial_failed(conn_to(remote), {Code::kDialRefused, {}}, now);
    look();
    EXPECT_EQ(endpoint->waiting(), 0u);
  }
}

TEST_F(EndpointShares, what_waits_for_internal_servers_counts_for_the_peer_that_sent_it) {
  start(small(), true);
  const std::size_t fit = limits::waiting_share(small().waiting_bytes) / kCost;
  const auto by = [](const std::string& peer) { return Pair{domain(peer), domain("corp.example")}; };
  for (std::size_t i = 0; i < fit; ++i) send(by("flood.example"), 1, kBig);
  send(by("flood.example"), 2, kBig);
  EXPECT_EQ(ended.size(), 1u);
  send(by("honest.test"), 3, kBig);
  EXPECT_EQ(ended.size(), 1u);
}

}  // namespace
}  // namespace sallyport::gate

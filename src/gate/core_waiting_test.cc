// What waits in a core while no edge takes it: one memory, of which each peer and each internal server has
// its share.
#include <gtest/gtest.h>

#include <map>

#include "base/limits.h"
#include "config/policy_config.h"
#include "gate/core.h"
#include "gate/core_for_test.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

dns::SocketAddress server(std::uint8_t last) { return {dns::Ip::v4({10, 0, 0, last}), 40'000}; }

struct Lines : LogSink, Random {
  void log(LogEvent event) override {
    if (event.name != "stanza.refused") return;
    std::map<std::string, std::string> fields(event.fields.begin(), event.fields.end());
    refused.push_back(fields["remote"] + " " + fields["code"]);
  }
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, std::uint8_t{7}); }
  std::vector<std::string> refused;
};

// A core whose edge is not there.
class CoreWaiting : public testing::Test {
 protected:
  static constexpr std::size_t kBytes = 8 * limits::kCanonicalBytesMax;
  static constexpr std::size_t kBig = 100'000;
  // Within a hundred bytes.
  static constexpr std::size_t kPeerFits = limits::waiting_share(kBytes) / (kBig + 500);
  static constexpr std::size_t kServerFits = limits::internal_share(kBytes) / (kBig + 500);

  CoreWaiting() {
    auto config = core_for_test("server_ca = \"ca.crt\"\n");
    config.limits.waiting_bytes = kBytes;
    auto policy = config::parse_policy(
        "[federation]\nprivacy = \"off\"\n[[domain]]\nname = \"example.com\"\n"
        "servers = [\"10.0.0.20:5269\"]\n",
        "policy.toml", config);
    EXPECT_TRUE(policy.value) << (policy.errors.empty() ? "" : policy.errors.front().shown());
    config::PolicyUpdate update;
    update.policy = std::move(*policy.value);
    update.generation = 1;
    core_ = std::make_unique<Core>(
        CoreSetup{config, config::PreparedPolicy::make(config, update), "secret", "1", "i"}, lines_, lines_,
        now_);
  }
  // A stream of that internal server to a remote domain.
  ConnId open(dns::SocketAddress peer, const std::string& remote) {
    const ConnId conn = last_ += 2;
    const std::string header =
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "from='example.com' to='" +
        remote + "' version='1.0'>";
    s2s::TlsFacts facts;
    facts.peer_certificate = true;
    facts.chain = {};
    facts.names.dns = {"example.com"};
    core_->handle_accepted(conn, {peer, {}, false}, now_);
    core_->handle_bytes(conn, header, now_);
    core_->handle_bytes(conn, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", now_);
    core_->handle_tls(conn, facts, now_);
    core_->handle_bytes(conn, header, now_);
    core_->handle_bytes(conn, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
                        now_);
    core_->handle_bytes(conn, header, now_);
    EXPECT_TRUE(core_->is_proved(conn));
    return conn;
  }
  // `count` messages, 8 for each name: less than what one pair may have.
  void send(dns::SocketAddress peer, std::size_t count, const std::string& suffix) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string remote = "s" + std::to_string(i / 8) + suffix;
      ConnId& conn = streams_[peer.text() + remote];
      if (conn == 0) conn = open(peer, remote);
      core_->handle_bytes(conn,
                          "<message from='a@example.com' to='b@" + remote + "' id='1'><body>" +
                              std::string(kBig, 'x') + "</body></message>",
                          now_);
    }
    while (core_->poll()) {
    }
  }

  Lines lines_;
  Now now_{Time{1s}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Core> core_;
  ConnId last_ = 1;
  std::map<std::string, ConnId> streams_;
};

TEST_F(CoreWaiting, what_waits_for_one_peer_has_its_share_and_not_much_more) {
  send(server(20), kPeerFits, ".flood.example");
  EXPECT_EQ(lines_.refused, std::vector<std::string>{});
  send(server(20), 1, "one-more.flood.example");
  ASSERT_EQ(lines_.refused, std::vector<std::string>{"s0one-more.flood.example delivery.queue-full"});
  send(server(20), 1, ".honest.example");
  EXPECT_EQ(lines_.refused.size(), 1u);
}

TEST_F(CoreWaiting, an_internal_server_has_its_share_and_another_finds_room) {
  for (std::size_t i = 0, left = kServerFits; left > 0; ++i) {
    const std::size_t some = std::min(left, kPeerFits / 2);
    send(server(20), some, ".peer" + std::to_string(i) + ".example");
    left -= some;
  }
  EXPECT_EQ(lines_.refused, std::vector<std::string>{});
  send(server(20), 2, ".more.example");
  EXPECT_GE(lines_.refused.size(), 1u);
  const auto before = lines_.refused.size();
  send(server(21), 1, ".other.example");
  EXPECT_EQ(lines_.refused.size(), before);
}

TEST_F(CoreWaiting, when_all_is_full_the_largest_loses_its_oldest_and_its_sender_is_told) {
  for (std::uint8_t i = 0; i < 8; ++i)
    send(server(20 + i), kBytes / 8 / (kBig + 500) + 1, ".peer" + std::to_string(i) + ".example");
  lines_.refused.clear();
  send(server(50), 1, ".honest.example");
  ASSERT_GE(lines_.refused.size(), 1u);
  for (const auto& each : lines_.refused) EXPECT_EQ(each.find("honest"), std::string::npos) << each;
}

TEST_F(CoreWaiting, what_was_answered_waits_no_longer) {
  for (int round = 0; round < 3; ++round) {
    send(server(20), kPeerFits, ".flood.example");
    EXPECT_EQ(
        std::ranges::count_if(lines_.refused, [](const auto& each) { return each.ends_with("queue-full"); }),
        0);
    now_.mono += limits::kDeliveryTimeout;
    core_->handle_timeout(now_);
    EXPECT_EQ(lines_.refused.size(), kPeerFits * static_cast<std::size_t>(round + 1));
  }
}

}  // namespace
}  // namespace sallyport::gate

// The stanzas that wait in a core while it has no link share one memory. Each peer and each internal server
// has its share.
#include "gate/core_fixture.h"

namespace sallyport::gate {
namespace {

dns::SocketAddress server(std::uint8_t last) { return {dns::Ip::v4({10, 0, 0, last}), 40'000}; }

// A core whose edge is not there.
class CoreWaiting : public CoreFixture {
 protected:
  static constexpr std::size_t kBytes = 8 * limits::kCanonicalBytesMax;
  static constexpr std::size_t kBig = 100'000;
  // Within a hundred bytes.
  static constexpr std::size_t kPeerFits = limits::waiting_share(kBytes) / (kBig + 500);
  static constexpr std::size_t kServerFits = limits::internal_share(kBytes) / (kBig + 500);

  CoreWaiting() {
    config_.limits.waiting_bytes = kBytes;
    starts("", "privacy = \"off\"");
  }
  // `count` messages, 8 for each name: less than what one pair may have.
  void send(dns::SocketAddress peer, std::size_t count, const std::string& suffix) {
    for (std::size_t i = 0; i < count; ++i)
      internal_sends("<message from='a@example.com' to='b@s" + std::to_string(i / 8) + suffix +
                         "' id='1'><body>" + std::string(kBig, 'x') + "</body></message>",
                     peer);
  }
  // The stanzas that were refused: "REMOTE CODE".
  Lines refused() const {
    constexpr std::string_view kName = "stanza.refused ";
    Lines refused;
    for (const auto& line : log_.lines({"remote", "code"}))
      if (line.starts_with(kName)) refused.push_back(line.substr(kName.size()));
    return refused;
  }
};

TEST_F(CoreWaiting, what_waits_for_one_peer_has_its_share_and_not_much_more) {
  send(server(20), kPeerFits, ".flood.example");
  EXPECT_EQ(refused(), Lines{});
  send(server(20), 1, "one-more.flood.example");
  ASSERT_EQ(refused(), Lines{"s0one-more.flood.example delivery.queue-full"});
  send(server(20), 1, ".honest.example");
  EXPECT_EQ(refused().size(), 1u);
}

TEST_F(CoreWaiting, an_internal_server_has_its_share_and_another_finds_room) {
  for (std::size_t i = 0, left = kServerFits; left > 0; ++i) {
    const std::size_t some = std::min(left, kPeerFits / 2);
    send(server(20), some, ".peer" + std::to_string(i) + ".example");
    left -= some;
  }
  EXPECT_EQ(refused(), Lines{});
  send(server(20), 2, ".more.example");
  EXPECT_GE(refused().size(), 1u);
  const auto before = refused().size();
  send(server(21), 1, ".other.example");
  EXPECT_EQ(refused().size(), before);
}

TEST_F(CoreWaiting, when_all_is_full_the_largest_loses_its_oldest_and_its_sender_is_told) {
  for (std::uint8_t i = 0; i < 8; ++i)
    send(server(20 + i), kBytes / 8 / (kBig + 500) + 1, ".peer" + std::to_string(i) + ".example");
  log_.events.clear();
  send(server(50), 1, ".honest.example");
  ASSERT_GE(refused().size(), 1u);
  for (const auto& each : refused()) EXPECT_EQ(each.find("honest"), std::string::npos) << each;
}

TEST_F(CoreWaiting, what_was_answered_waits_no_longer) {
  for (int round = 0; round < 3; ++round) {
    send(server(20), kPeerFits, ".flood.example");
    EXPECT_EQ(std::ranges::count_if(refused(), [](const auto& each) { return each.ends_with("queue-full"); }),
              0);
    passes(limits::kLifetimeMemory);
    EXPECT_EQ(refused().size(), kPeerFits * static_cast<std::size_t>(round + 1));
  }
}

TEST_F(CoreWaiting, what_has_no_way_to_an_edge_is_answered_when_the_core_is_drained) {
  send(server(20), 2, ".one.example");
  EXPECT_EQ(refused(), Lines{});
  core_->drain(now_);
  exchange();
  EXPECT_EQ(refused(), (Lines{"s0.one.example stream.shutdown", "s0.one.example stream.shutdown"}));
  EXPECT_EQ(internal_receives().size(), 2u);
}

}  // namespace
}  // namespace sallyport::gate

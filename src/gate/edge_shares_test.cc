// Each source has its share of an edge: of the questions to the core, and of the memory for stanzas that wait
// for it.
#include "gate/edge_fixture.h"

namespace sallyport::gate {
namespace {

dns::SocketAddress from(std::uint8_t last) { return {dns::Ip::v4({198, 51, 100, last}), 40'000}; }

// The core answers no question by itself, and settles nothing.
class EdgeShares : public EdgeFixture {
 protected:
  static constexpr std::size_t kBig = 100'000;

  EdgeShares() {
    auto config = edge_config();
    config.limits.waiting_bytes = 8 * limits::kCanonicalBytesMax;
    starts(std::move(config));
    link_comes_up();
    core_pushes(push(1, {"flood.example", "honest.example"}));
  }
  // `count` questions about keys, on as many streams as they need.
  void ask(dns::SocketAddress peer, std::size_t count) {
    const std::string name = "h" + std::to_string(peer.ip.bytes[15]) + ".example";
    for (std::size_t i = 0; i < count; ++i) {
      if (i % limits::kVerificationsPerStreamMax == 0)
        remote_.opens(last_conn_ = remote_.connects(peer), name, "example.com", {});
      remote_.says(last_conn_, "<db:verify from='" + name + "' to='example.com' id='" + std::to_string(i) +
                                   "'>00ff</db:verify>");
    }
  }
  std::size_t refusals() const {
    std::size_t count = 0;
    for (const auto& [conn, said] : sockets_.written)
      for (auto at = said.find("<resource-constraint"); at != std::string::npos;
           at = said.find("<resource-constraint", at + 1))
        ++count;
    return count;
  }
  void message(ConnId conn, const std::string& name, std::size_t bytes) {
    remote_.says(conn, "<message from='a@" + name + "' to='b@example.com' id='1'><body>" +
                           std::string(bytes, 'x') + "</body></message>");
  }

  ConnId last_conn_ = 0;
};

constexpr std::size_t kOneAddress = limits::address_share(limits::kVerdictsMax);

TEST_F(EdgeShares, an_address_has_its_share_of_the_questions_about_keys_and_not_one_more) {
  ask(from(1), kOneAddress);
  EXPECT_EQ(core_.asked.size(), kOneAddress);
  EXPECT_EQ(refusals(), 0u);
  ask(from(1), 3);
  EXPECT_EQ(core_.asked.size(), kOneAddress);
  EXPECT_EQ(refusals(), 3u);
  ask(from(2), 1);
  EXPECT_EQ(core_.asked.size(), kOneAddress + 1);
  EXPECT_EQ(refusals(), 3u);
  // An answer makes room for the next.
  core_answers(0, std::string("valid"));
  ask(from(1), 1);
  EXPECT_EQ(core_.asked.size(), kOneAddress + 2);
}

TEST_F(EdgeShares, when_all_questions_about_keys_are_asked_the_largest_loses_its_oldest_and_is_answered) {
  for (std::uint8_t address = 1; address <= limits::kAddressShareOf; ++address)
    ask(from(address), kOneAddress);
  ASSERT_EQ(core_.asked.size(), limits::kVerdictsMax);
  ASSERT_EQ(refusals(), 0u);
  ask(from(100), 1);
  EXPECT_EQ(core_.asked.size(), limits::kVerdictsMax + 1);
  EXPECT_EQ(refusals(), 1u);
  // The late answer is dropped, and the newcomer gets its own.
  core_answers(0, std::string("valid"));
  core_answers(core_.asked.size() - 1, std::string("valid"));
  EXPECT_NE(sockets_.written[last_conn_].find("type='valid'"), std::string::npos);
  EXPECT_EQ(refusals(), 1u);
}

TEST_F(EdgeShares, what_waits_for_the_core_has_the_share_of_its_peer_and_others_find_room) {
  const std::size_t share = limits::waiting_share(8 * limits::kCanonicalBytesMax);
  std::vector<ConnId> flood;
  for (int i = 0; i < 20; ++i) flood.push_back(remote_.proves("flood.example", "example.com", from(1)));
  const ConnId honest = remote_.proves("honest.example", "example.com", from(2));
  link_is_lost();
  // A driver stops reading from a stream that is held; bytes that it read before still come.
  std::size_t sent = 0;
  for (std::size_t bytes = 0; bytes <= share; bytes += kBig, ++sent)
    message(flood[sent % flood.size()], "flood.example", kBig);
  EXPECT_GT(dialled().size(), 0u) << "one is answered, and its answer wants a stream";
  servers_.dials.clear();
  message(honest, "honest.example", kBig);
  EXPECT_TRUE(dialled().empty()) << "it waits";
}

}  // namespace
}  // namespace sallyport::gate

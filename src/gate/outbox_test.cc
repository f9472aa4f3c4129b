#include "gate/outbox.h"

#include <gtest/gtest.h>

#include <map>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }

constexpr std::size_t kSize = 100;  // of each stanza's XML
constexpr std::uint64_t kCost = kSize + limits::kStanzaOverheadBytes;

// Room for ten stanzas, four of one peer, six of one feed.
struct OutboxTest : ::testing::Test {
  static Queued stanza(const std::string& id, Time deadline = kNoDeadline) {
    std::string xml = "<message id='" + id + "'/>";
    xml.resize(kSize, ' ');
    return {{xmpp::StanzaKind::kMessage,
             *xmpp::Jid::parse("a@example.com"),
             *xmpp::Jid::parse("b@far.example"),
             id,
             "chat",
             {},
             std::move(xml)},
            0,
            deadline};
  }
  // Queues one more stanza for a peer; false where it finds no room.
  bool waits(const std::string& peer, const std::string& id, const std::string& feed = {},
             Time deadline = kNoDeadline) {
    auto& [pair, box] = entry(peer);
    Queued queued = stanza(id, deadline);
    const bool has_room = boxes.push(pair, box, queued, feed);
    if (!has_room) {
      EXPECT_EQ(queued.stanza.xml().size(), kSize) << "untouched";
    }
    return has_room;
  }
  Ids leaves(const std::string& peer) {
    Ids ids;
    Outbox& box = entry(peer).second;
    while (!box.empty()) ids.push_back(std::string(boxes.pop(box).stanza.id()));
    return ids;
  }
  // Stanzas that came out because they expired or made room: "id expired", "id displaced".
  Ids lost() {
    Ids ids;
    while (auto one = boxes.poll())
      ids.push_back(std::string(one->queued.stanza.id()) + (one->expired ? " expired" : " displaced"));
    return ids;
  }
  std::pair<const Pair, Outbox>& entry(const std::string& peer) {
    return *pairs.try_emplace(Pair{domain("example.com"), domain(peer)}).first;
  }

  Outboxes boxes{{.total = 10 * kCost, .per_peer = 4 * kCost, .per_feed = 6 * kCost},
                 [](const Pair& pair) { return std::string(parent_of_domain(pair.remote.ascii())); }};
  std::map<Pair, Outbox> pairs;
};

TEST_F(OutboxTest, stanzas_leave_in_the_order_in_which_they_came) {
  for (const char* id : {"1", "2", "3"}) EXPECT_TRUE(waits("a.example", id));
  const Outbox& box = entry("a.example").second;
  EXPECT_EQ(box.size(), 3u);
  EXPECT_EQ(box.bytes(), 3 * kSize);
  EXPECT_EQ(leaves("a.example"), (Ids{"1", "2", "3"}));
  EXPECT_EQ(box.bytes(), 0u);
  EXPECT_TRUE(box.is_idle());
}

TEST_F(OutboxTest, what_was_sent_in_vain_goes_back_to_the_front_in_order) {
  for (const char* id : {"1", "2", "3"}) waits("a.example", id);
  auto& [pair, box] = entry("a.example");
  box.sent(boxes.pop(box));
  box.sent(boxes.pop(box));
  EXPECT_EQ(box.in_flight(), 2u);
  EXPECT_FALSE(box.is_idle());
  while (box.in_flight() > 0) boxes.put_front(pair, box, box.take_newest_sent());
  EXPECT_EQ(leaves("a.example"), (Ids{"1", "2", "3"}));
}

TEST_F(OutboxTest, one_peer_has_its_share_whatever_names_it_uses) {
  for (const char* name : {"a.zone.example", "b.zone.example", "c.zone.example", "d.zone.example"})
    EXPECT_TRUE(waits(name, "z"));
  EXPECT_FALSE(waits("e.zone.example", "z")) << "names below one parent are one peer";
  EXPECT_TRUE(waits("a.example", "1"));
  EXPECT_EQ(lost(), Ids{});
}

TEST_F(OutboxTest, one_feed_has_its_share_whatever_peers_it_feeds) {
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(waits("p" + std::to_string(i) + ".test", "x", "server-1")) << i;
  EXPECT_FALSE(waits("p6.test", "x", "server-1"));
  EXPECT_TRUE(waits("p6.test", "x", "server-2"));
}

TEST_F(OutboxTest, when_the_memory_is_full_whoever_holds_most_loses_its_oldest) {
  for (int i = 0; i < 4; ++i) waits("big.test", "b" + std::to_string(i));
  for (int i = 0; i < 3; ++i) waits("mid.example", "m" + std::to_string(i));
  for (int i = 0; i < 3; ++i) waits("low.invalid", "l" + std::to_string(i));
  EXPECT_TRUE(waits("new.localhost", "n"));
  EXPECT_EQ(lost(), Ids{"b0 displaced"});
  EXPECT_EQ(leaves("big.test"), (Ids{"b1", "b2", "b3"}));
}

TEST_F(OutboxTest, what_left_makes_room_again) {
  for (int i = 0; i < 4; ++i) waits("a.example", "1");
  EXPECT_FALSE(waits("a.example", "2"));
  boxes.pop(entry("a.example").second);
  EXPECT_TRUE(waits("a.example", "2"));
}

TEST_F(OutboxTest, what_is_put_back_always_finds_room) {
  for (int i = 0; i < 4; ++i) waits("a.example", "1");
  auto& [pair, box] = entry("a.example");
  boxes.put_front(pair, box, stanza("0"));
  EXPECT_EQ(box.size(), 5u);
  EXPECT_EQ(leaves("a.example").front(), "0");
}

TEST_F(OutboxTest, a_stanza_comes_out_when_its_deadline_has_passed_and_not_before) {
  waits("a.example", "1", {}, Time{10s});
  waits("a.example", "2", {}, Time{20s});
  EXPECT_EQ(boxes.poll_timeout(), Time{10s});
  boxes.handle_timeout(Time{10s} - 1us);
  EXPECT_EQ(lost(), Ids{});
  boxes.handle_timeout(Time{10s});
  EXPECT_EQ(lost(), Ids{"1 expired"});
  EXPECT_EQ(boxes.poll_timeout(), Time{20s});
  boxes.handle_timeout(Time{20s});
  EXPECT_EQ(lost(), Ids{"2 expired"});
  EXPECT_EQ(boxes.poll_timeout(), std::nullopt);
  EXPECT_TRUE(entry("a.example").second.is_idle());
}

TEST_F(OutboxTest, an_outbox_is_not_idle_while_its_timer_is_set) {
  waits("a.example", "1", {}, Time{10s});
  leaves("a.example");
  EXPECT_FALSE(entry("a.example").second.is_idle());
  boxes.handle_timeout(Time{10s});
  EXPECT_TRUE(entry("a.example").second.is_idle());
  EXPECT_EQ(lost(), Ids{});
}

TEST_F(OutboxTest, one_outbox_sets_one_timer_however_much_waits) {
  for (int i = 0; i < 4; ++i) waits("a.example", std::to_string(i), {}, Time{10s + i * 1s});
  boxes.handle_timeout(Time{11s});
  EXPECT_EQ(lost(), (Ids{"0 expired", "1 expired"}));
  EXPECT_EQ(boxes.poll_timeout(), Time{12s});
}

TEST_F(OutboxTest, stanzas_without_a_deadline_set_no_timer) {
  waits("a.example", "1");
  EXPECT_EQ(boxes.poll_timeout(), std::nullopt);
}

// --- deadlines that are not in order

TEST_F(OutboxTest, an_earlier_deadline_counts_behind_a_later_one) {
  const Time start{1h};
  waits("a.example", "1", {}, start + 1min);
  waits("a.example", "2", {}, start + 10s);
  waits("a.example", "3");
  waits("a.example", "4", {}, start + 20s);
  EXPECT_EQ(boxes.poll_timeout(), start + 10s);
  boxes.handle_timeout(start + 10s);
  EXPECT_EQ(lost(), Ids{"2 expired"});
  EXPECT_EQ(boxes.poll_timeout(), start + 20s);
  boxes.handle_timeout(start + 20s);
  EXPECT_EQ(lost(), Ids{"4 expired"});
  boxes.handle_timeout(start + 1min);
  EXPECT_EQ(lost(), Ids{"1 expired"});
  EXPECT_EQ(boxes.poll_timeout(), std::nullopt);
  EXPECT_EQ(leaves("a.example"), Ids{"3"});
}

TEST_F(OutboxTest, deadlines_that_are_close_to_each_other_are_looked_at_together) {
  const Time start{1h};
  waits("a.example", "1");
  for (int i = 0; i < 3; ++i) waits("a.example", "2", {}, start + 10ms * i);
  boxes.handle_timeout(start);
  EXPECT_EQ(lost(), Ids{"2 expired"});
  EXPECT_EQ(boxes.poll_timeout(), start + limits::kOutboxLookEvery);
  boxes.handle_timeout(start + limits::kOutboxLookEvery);
  EXPECT_EQ(lost(), (Ids{"2 expired", "2 expired"}));
}

TEST_F(OutboxTest, what_goes_back_to_the_front_with_a_later_deadline_hides_no_other) {
  const Time start{1h};
  waits("a.example", "1", {}, start + 10s);
  auto& [pair, box] = entry("a.example");
  boxes.put_front(pair, box, stanza("0", start + 1min));
  boxes.handle_timeout(start + 10s);
  EXPECT_EQ(lost(), Ids{"1 expired"});
  EXPECT_EQ(leaves("a.example"), Ids{"0"});
}

}  // namespace
}  // namespace sallyport::gate

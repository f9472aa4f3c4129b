// A session whose connection is cut at every byte of a dialogue.
#include <gtest/gtest.h>

#include <algorithm>

#include "link/outcome_fixture.h"
#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

// Owners on both sides who record all events, and a connection that is cut after so many bytes of one
// direction.
struct Dialogue : Link {
  std::vector<Received> at_edge, at_core;  // all stanzas, in order
  std::vector<Settled> of_core, of_edge;   // likewise
  std::vector<Receipt> open_at_edge, open_at_core;
  std::size_t bytes_to_edge = 0, bytes_to_core = 0;
  std::size_t edge_cut = ~0ULL, core_cut = ~0ULL;  // break after these
  bool connected = false;
  int breaks = 0;

  void link_up() {
    connect();
    connected = true;
    talk();
  }
  void note() {
    for (auto& r : edge.take<Received>()) at_edge.push_back(r), open_at_edge.push_back(r.receipt);
    for (auto& r : core.take<Received>()) at_core.push_back(r), open_at_core.push_back(r.receipt);
    for (auto& s : core.take<Settled>()) of_core.push_back(s);
    for (auto& s : edge.take<Settled>()) of_edge.push_back(s);
    core.events.clear();
    edge.events.clear();
  }
  // Delivers `bytes` up to the byte at which the connection is cut; returns false if it was cut.
  static bool carry(std::string bytes, LinkSession& to, std::size_t& carried, std::size_t cut_at, Time at) {
    const bool whole = carried + bytes.size() < cut_at || carried >= cut_at;
    if (!whole) bytes.resize(cut_at - carried);
    to.handle_bytes(bytes, at);
    carried += bytes.size();
    return whole;
  }
  void talk() {
    while (connected && fetch()) {
      const bool edge_good = carry(std::exchange(core.out, {}), edge.session, bytes_to_edge, edge_cut, now);
      const bool core_good = carry(std::exchange(edge.out, {}), core.session, bytes_to_core, core_cut, now);
      note();
      ASSERT_FALSE(core.session.wants_close() || edge.session.wants_close());
      if (edge_good && core_good) continue;
      cut();
      connected = false;
      ++breaks;
    }
    note();
  }
  void wait(Duration duration) {
    const Time end = now + duration;
    while (connected) {
      const auto next = next_timeout();
      if (!next || *next > end) break;
      now = std::max(now, *next);
      core.session.handle_timeout(now);
      edge.session.handle_timeout(now);
      talk();
    }
    now = end;
  }
  // Backwards: settlements are still sent in order.
  void settle_all() {
    for (auto* side : {&open_at_edge, &open_at_core}) {
      End& end = side == &open_at_edge ? edge : core;
      auto& all = side == &open_at_edge ? at_edge : at_core;
      for (auto r = side->rbegin(); r != side->rend(); ++r) {
        const auto found = std::ranges::find(all, *r, &Received::receipt);
        end.session.settle(*r, outcome_of(std::string(found->stanza.id())), now);
      }
      side->clear();
    }
    talk();
  }
};

const xmpp::Pair kOther = pair("example.com", "other.example");

// Several stanzas, settlements and grants on two pairs, both ways; reconnecting at once or at the end.
void play(Dialogue& d, bool at_once) {
  const auto go_on = [&d, at_once] {
    if (!d.connected && at_once) d.link_up();
  };
  d.link_up();
  for (int i = 0; i < 3; ++i) d.send_out(std::to_string(i), static_cast<Ticket>(i));
  d.send_in("10", 10, {"external", "198.51.100.7:5269"});
  d.talk();
  go_on();
  d.send_out("3", 3, kOther);
  d.send_in("11", 11, {"dialback", "198.51.100.7:5269"});
  d.edge.session.grant(kPair, 100'000);
  d.settle_all();
  go_on();
  d.wait(limits::kSettleDelay);
  go_on();
  d.send_out("4", 4);
  d.send_in("12", 12, {"dialback", "198.51.100.7:5269"}, kOther);
  d.talk();
  go_on();
  d.wait(2s);
  if (!d.connected) d.link_up();
  d.settle_all();
  d.wait(2s);
  if (!d.connected) d.link_up();
  d.settle_all();
  d.wait(2s);
}

Strings ids_of(const std::vector<Received>& received, const xmpp::Pair& p) {
  Strings result;
  for (const Received& r : received) {
    if (r.pair() == p) result.emplace_back(r.stanza.id());
  }
  return result;
}

void expect_all_once(const Dialogue& d) {
  EXPECT_EQ(ids_of(d.at_edge, kPair), (Strings{"0", "1", "2", "4"}));
  EXPECT_EQ(ids_of(d.at_edge, kOther), Strings{"3"});
  EXPECT_EQ(ids_of(d.at_core, kPair), (Strings{"10", "11"}));
  EXPECT_EQ(ids_of(d.at_core, kOther), Strings{"12"});
  Strings core = outcomes(d.of_core);
  Strings edge = outcomes(d.of_edge);
  std::ranges::sort(core);
  std::ranges::sort(edge);
  EXPECT_EQ(core, (Strings{"0:dial.timeout", "1:", "2:", "3:dial.timeout", "4:"}));
  EXPECT_EQ(edge, (Strings{"10:", "11:", "12:dial.timeout"}));
  for (const Received& r : d.at_core) {
    EXPECT_EQ(r.provenance().method, r.stanza.id() == "10" ? "external" : "dialback") << r.stanza.id();
  }
}

TEST(LinkReplay, a_cut_at_any_byte_loses_doubles_and_reorders_nothing) {
  Dialogue whole;
  play(whole, true);
  ASSERT_EQ(whole.breaks, 0);
  expect_all_once(whole);
  for (const bool at_once : {true, false}) {
    for (const bool to_edge : {true, false}) {
      const std::size_t total = to_edge ? whole.bytes_to_edge : whole.bytes_to_core;
      ASSERT_GT(total, 300U);
      for (std::size_t at = 1; at < total; ++at) {
        Dialogue d;
        (to_edge ? d.edge_cut : d.core_cut) = at;
        play(d, at_once);
        EXPECT_EQ(d.breaks, 1);
        expect_all_once(d);
        ASSERT_FALSE(testing::Test::HasFailure())
            << "cut at byte " << at << (to_edge ? " to the edge" : " to the core");
      }
    }
  }
}

}  // namespace
}  // namespace sallyport::link

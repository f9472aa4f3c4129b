// Two sessions in long random walks with cuts, restarts, grants and settlements in any order. A failing seed
// is printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "link/outcome_fixture.h"
#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

// A small generator of its own (SplitMix64), so that a seed means the same everywhere.
struct Dice {
  std::uint64_t state;
  std::uint64_t roll() {
    std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return roll() % n; }
  bool one_in(std::size_t n) { return below(n) == 0; }
};

struct WalkRules {
  bool restarts = false;  // of either process
  bool withdrawals = false;
  std::uint16_t version = frame::kVersionHighest;
  int steps = 6'000;
};

// One owner's side: its unsettled stanzas, the received ones, and the counts that must agree.
struct Party {
  std::unique_ptr<End> end;
  bool outward;  // true: the core
  int instances = 1;

  struct Sent {
    xmpp::Pair pair;
    std::string id;
    bool withdrawn = false;
  };
  std::map<Ticket, Sent> unsettled;
  std::vector<std::pair<Receipt, std::string>> open;  // to be settled, with the stanza's id
  std::map<std::string, int> last_of_pair;            // the highest number received in this epoch
  std::uint32_t epoch = 0;
  std::map<std::string, int> times_received;  // by id, over all epochs of this process
};

class Walk {
 public:
  Walk(std::uint64_t seed, WalkRules rules) : dice_{seed}, rules_(rules) {
    for (const char* remote : {"a.example", "b.example", "c.example"})
      pairs_.push_back(pair("example.com", remote));
    core_.end = std::make_unique<End>(NodeRole::kCore, "1", rules_.version);
    core_.outward = true;
    edge_.end = std::make_unique<End>(NodeRole::kEdge, "1", rules_.version);
    edge_.outward = false;
  }

  void run() {
    for (int i = 0; i < rules_.steps && !testing::Test::HasFailure(); ++i) step();
    finish();
  }
  int sent() const { return next_; }
  int cuts() const { return cuts_; }
  int ahead() const { return ahead_; }

 private:
  Party& other(Party& p) { return &p == &core_ ? edge_ : core_; }

  void step() {
    Party& p = dice_.one_in(2) ? core_ : edge_;
    switch (dice_.below(12)) {
      case 0:
      case 1:
      case 2:
        send(p);
        break;
      case 3:
      case 4:
      case 5:
        carry(p, dice_.one_in(3) ? 1 + dice_.below(200) : ~0ULL);
        break;
      case 6:
      case 7:
      case 8:
        settle(p);
        break;
      case 9:
        grant(p);
        break;
      case 10:
        pass(std::chrono::milliseconds(dice_.below(80)));
        break;
      case 11:
        disturb(p);
        break;
    }
  }

  void disturb(Party& p) {
    if (!connected_) return connect();
    if (dice_.one_in(6)) return cut();
    if (rules_.restarts && dice_.one_in(20)) return restart(p);
    if (rules_.withdrawals && dice_.one_in(4)) return withdraw(p);
  }

  void send(Party& p) {
    const xmpp::Pair& to = pairs_[dice_.below(pairs_.size())];
    const std::string id = std::to_string(next_);
    const std::size_t sizes[] = {0, 500, 20'000, 400'000};
    xmpp::Stanza s = stanza(to, id, p.outward, sizes[dice_.below(dice_.one_in(5) ? 4 : 2)]);
    if (!p.end->session.can_send(to, s.xml().size())) return;
    const auto ticket = static_cast<Ticket>(next_++);
    p.unsettled.emplace(ticket, Party::Sent{to, id});
    p.end->session.send(to, std::move(s), ticket, now_,
                        {p.outward ? "" : "external", dice_.one_in(3) ? "x" : "y"});
  }

  // Moves up to so many bytes from this side to the other.
  void carry(Party& p, std::size_t bytes_max) {
    if (!connected_) return;
    std::string taken;
    while (p.end->session.take_output(taken, now_)) {
      p.end->out += taken;
      taken.clear();
    }
    const std::size_t bytes = std::min(bytes_max, p.end->out.size());
    Party& to = other(p);
    to.end->session.handle_bytes(std::string_view(p.end->out).substr(0, bytes), now_);
    p.end->out.erase(0, bytes);
    note(to);
    note(p);
    ASSERT_FALSE(to.end->session.wants_close());
  }

  void note(Party& p) {
    for (const Received& r : p.end->take<Received>()) note_received(p, r);
    for (const Settled& s : p.end->take<Settled>()) note_settled(p, s);
    p.end->events.clear();
  }
  void note_received(Party& p, const Received& r) {
    if (r.receipt.epoch != p.epoch) {
      p.epoch = r.receipt.epoch;
      p.last_of_pair.clear();
      p.open.clear();  // stale
      p.times_received.clear();
    }
    const std::string name = r.pair().remote.ascii();
    const int number = std::stoi(std::string(r.stanza.id()));
    const auto last = p.last_of_pair.find(name);
    ASSERT_TRUE(last == p.last_of_pair.end() || last->second < number) << "out of order: " << number;
    p.last_of_pair[name] = number;
    ASSERT_EQ(++p.times_received[std::string(r.stanza.id())], 1) << "doubled: " << number;
    ever_received_.insert(number);
    p.open.emplace_back(r.receipt, r.stanza.id());
  }
  void note_settled(Party& p, const Settled& s) {
    const auto found = p.unsettled.find(s.ticket);
    ASSERT_NE(found, p.unsettled.end()) << "settled twice, or never sent: " << s.ticket;
    ASSERT_FALSE(found->second.withdrawn) << s.ticket;
    ASSERT_TRUE(ever_received_.contains(static_cast<int>(s.ticket)))
        << "settled but never received: " << s.ticket;
    ASSERT_EQ(s.outcome, outcome_at_sender(found->second.id, p.outward ? NodeRole::kCore : NodeRole::kEdge))
        << s.ticket;
    if (is_ahead(p, found)) {
      ++ahead_;
      ASSERT_GE(rules_.version, frame::kVersionAhead) << s.ticket;
    }
    p.unsettled.erase(found);
  }

  // Whether a stanza that was sent before it on its channel is not settled.
  static bool is_ahead(const Party& p, std::map<Ticket, Party::Sent>::const_iterator settled) {
    return std::any_of(p.unsettled.begin(), settled, [&](const auto& earlier) {
      return !earlier.second.withdrawn && earlier.second.pair == settled->second.pair;
    });
  }

  void settle(Party& p) {
    for (std::size_t n = dice_.below(8); n > 0 && !p.open.empty(); --n) {
      const auto at = p.open.begin() + static_cast<std::ptrdiff_t>(dice_.below(p.open.size()));
      p.end->session.settle(at->first, outcome_of(at->second), now_);
      if (dice_.one_in(10)) p.end->session.settle(at->first, Error{Code::kInternal, "twice"}, now_);
      p.open.erase(at);
    }
  }
  void grant(Party& p) {
    p.end->session.grant(pairs_[dice_.below(pairs_.size())],
                         static_cast<std::uint32_t>(dice_.below(2'000'000)));
  }
  void pass(Duration duration) {
    now_ += duration;
    for (Party* p : {&core_, &edge_}) {
      p->end->session.handle_timeout(now_);
      note(*p);
    }
  }
  void connect() {
    connected_ = true;
    core_.end->session.handle_connected(now_);
    edge_.end->session.handle_connected(now_);
  }
  void cut() {
    connected_ = false;
    ++cuts_;
    for (Party* p : {&core_, &edge_}) {
      p->end->out.clear();
      p->end->session.handle_disconnected(now_);
      note(*p);
    }
  }
  // Replaces the process by a new one. The old one's unsettled stanzas are lost with it.
  void restart(Party& p) {
    cut();
    p.end = std::make_unique<End>(p.outward ? NodeRole::kCore : NodeRole::kEdge,
                                  std::to_string(++p.instances), rules_.version);
    p.unsettled.clear();
    p.open.clear();
    p.epoch = 0;
    p.last_of_pair.clear();
    p.times_received.clear();
  }
  void withdraw(Party& p) {
    if (p.unsettled.empty()) return;
    if (dice_.one_in(10)) {
      std::map<std::string, Ticket> last;
      for (const Unsettled& u : p.end->session.abandon()) {
        ASSERT_TRUE(p.unsettled.contains(u.ticket));
        ASSERT_GT(u.ticket + 1, last[u.pair.remote.ascii()]) << "abandoned out of order";
        last[u.pair.remote.ascii()] = u.ticket + 1;
        p.unsettled.erase(u.ticket);
      }
      for (const auto& [ticket, sent] : p.unsettled)
        ASSERT_TRUE(sent.withdrawn) << "not abandoned: " << ticket;
      return;
    }
    const auto at =
        std::next(p.unsettled.begin(), static_cast<std::ptrdiff_t>(dice_.below(p.unsettled.size())));
    if (p.end->session.withdraw(at->second.pair, at->first)) at->second.withdrawn = true;
  }

  // Runs until every remaining stanza has arrived and is settled.
  void finish() {
    for (int i = 0; i < 200 && !testing::Test::HasFailure(); ++i) {
      if (!connected_) connect();
      for (Party* p : {&core_, &edge_}) {
        carry(*p, ~0ULL);
        while (!p->open.empty()) settle(*p);
      }
      pass(100ms);
    }
    for (Party* p : {&core_, &edge_}) {
      for (const auto& [ticket, sent] : p->unsettled)
        ASSERT_TRUE(sent.withdrawn) << "never settled: " << ticket;
      EXPECT_EQ(p->end->session.unsettled_bytes(), 0U);
    }
  }

  Dice dice_;
  WalkRules rules_;
  std::vector<xmpp::Pair> pairs_;
  Party core_, edge_;
  Time now_{1h};
  bool connected_ = false;
  int next_ = 0;
  int cuts_ = 0;
  int ahead_ = 0;  // stanzas that were settled ahead of others
  std::set<int> ever_received_;
};

// Runs as many seeds as SALLYPORT_SEEDS says, otherwise a few.
void walk_all(std::uint64_t first, WalkRules rules) {
  const char* wanted = std::getenv("SALLYPORT_SEEDS");
  const std::uint64_t seeds = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 8;
  int sent = 0;
  int cuts = 0;
  int ahead = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    Walk walk(seed, rules);
    walk.run();
    sent += walk.sent();
    cuts += walk.cuts();
    ahead += walk.ahead();
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
  EXPECT_GT(sent, static_cast<int>(seeds) * 100);
  EXPECT_GT(cuts, static_cast<int>(seeds));
  EXPECT_EQ(ahead > 0, rules.version >= frame::kVersionAhead);
}

TEST(LinkWalk, while_both_processes_live_everything_arrives_once_and_is_settled_once) { walk_all(1, {}); }

TEST(LinkWalk, after_a_restart_everything_of_the_living_side_arrives_at_least_once) {
  walk_all(1'000'000, {.restarts = true});
}

TEST(LinkWalk, what_is_given_up_is_never_settled_and_delays_nothing_else) {
  walk_all(2'000'000, {.withdrawals = true});
}

TEST(LinkWalk, restarts_and_withdrawals_together) {
  walk_all(3'000'000, {.restarts = true, .withdrawals = true});
}

TEST(LinkWalk, before_version_4_everything_is_settled_in_order) {
  walk_all(4'000'000, {.restarts = true, .withdrawals = true, .version = frame::kVersionAhead - 1});
}

}  // namespace
}  // namespace sallyport::link

// An edge decides which of two connections is the link: of two processes with one link identity, and of a
// core that was restarted.
#include "gate/edge_fixture.h"

namespace sallyport::gate {
namespace {

// A process that holds the key of a [[core]] row.
struct Process : LinkPeer {
  explicit Process(const std::string& instance)
      : LinkPeer({link::NodeRole::kCore, "core.example.org", "1", instance}) {}
  // The codes with which its connections ended.
  Lines heard() const {
    Lines codes;
    for (const auto& down : downs) codes.emplace_back(code_row(down.error.code).name);
    return codes;
  }
  bool is_linked() const { return conn && session.is_up(); }
};

// An edge with two [[core]] rows; most tests use the first alone.
struct EdgeTakeover : EdgeFixture {
  EdgeTakeover() { start_edge(); }
  void start_edge() {
    auto config = edge_config();
    config.cores.push_back({.name = "core-2", .pins = {}, .domains = {}});
    starts(std::move(config));
  }
  bool shows_clash() { return status_has("link.same-identity"); }
  std::ptrdiff_t count(std::string_view line) const { return std::ranges::count(log_.lines({"code"}), line); }
};

TEST_F(EdgeTakeover, a_restarted_core_has_the_link_at_once) {
  Process before("first"), after("second");
  dials(before);
  ASSERT_TRUE(before.is_linked());
  before.mute = true;
  dials(after);
  EXPECT_TRUE(after.is_linked());
  EXPECT_FALSE(shows_clash());
  // However often it is repeated, no restart is taken for a second core.
  for (int i = 0; i < 30; ++i) {
    auto next = std::make_unique<Process>("process " + std::to_string(i));
    dials(*next);
    EXPECT_TRUE(next->is_linked()) << i;
    loses_link(*next);
  }
  EXPECT_EQ(count("link.refused link.same-identity"), 0);
}

TEST_F(EdgeTakeover, a_core_that_comes_back_on_a_new_connection_has_the_link_at_once_and_resumes) {
  Process core("first");
  dials(core);
  links_.erase(*core.conn);  // the connection is lost, and neither end knows
  dials(core);
  EXPECT_TRUE(core.is_linked());
  EXPECT_FALSE(shows_clash());
}

TEST_F(EdgeTakeover, of_two_running_cores_the_one_that_was_replaced_is_refused_with_the_cause) {
  for (const bool a_first : {true, false}) {
    start_edge();
    Process a("a"), b("b");
    Process* const first = a_first ? &a : &b;
    Process* const second = a_first ? &b : &a;
    dials(*first);
    dials(*second);
    ASSERT_TRUE(second->is_linked());
    ASSERT_FALSE(first->heard().empty());
    EXPECT_EQ(first->heard().back(), "link.same-identity") << "it is told when it loses the link";
    for (int i = 0; i < 3; ++i) {
      passes(11s);
      dials(*first);
      EXPECT_FALSE(first->is_linked());
      EXPECT_EQ(first->heard().back(), "link.same-identity");
      EXPECT_TRUE(first->downs.back().final) << "so that it dials rarely";
      EXPECT_TRUE(second->is_linked()) << "the link is left in peace";
    }
    EXPECT_TRUE(shows_clash());
    EXPECT_TRUE(status_has(R"("state":"pushing")")) << "its link is there all the same";
  }
  EXPECT_GE(count("link.refused link.same-identity"), 1);
}

TEST_F(EdgeTakeover, the_refused_core_has_the_link_when_the_other_one_falls_silent) {
  Process a("a"), b("b");
  dials(a);
  dials(b);
  dials(a);
  ASSERT_FALSE(a.is_linked());
  b.mute = true;
  passes(limits::kLinkDeadAfter + 1s);
  dials(a);
  EXPECT_TRUE(a.is_linked());
  passes(limits::kSameIdentityShown);
  EXPECT_FALSE(shows_clash());
}

TEST_F(EdgeTakeover, the_refused_core_has_the_link_when_the_other_one_ends) {
  Process a("a"), b("b");
  dials(a);
  dials(b);
  loses_link(b);
  dials(a);
  EXPECT_TRUE(a.is_linked());
}

TEST_F(EdgeTakeover, of_three_running_cores_one_keeps_the_link) {
  Process a("a"), b("b"), c("c");
  dials(a);
  dials(b);
  dials(c);
  ASSERT_TRUE(c.is_linked());
  for (Process* core : {&a, &b, &a, &b}) {
    dials(*core);
    EXPECT_FALSE(core->is_linked());
    EXPECT_TRUE(c.is_linked());
  }
}

TEST_F(EdgeTakeover, so_many_replaced_instances_are_remembered_and_no_more) {
  std::vector<std::unique_ptr<Process>> all;
  for (std::size_t i = 0; i < limits::kReplacedInstancesMax + 2; ++i) {
    all.push_back(std::make_unique<Process>(std::to_string(i)));
    dials(*all.back());
  }
  dials(*all[1]);
  EXPECT_FALSE(all[1]->is_linked());
  dials(*all[0]);
  EXPECT_TRUE(all[0]->is_linked()) << "forgotten";
}

TEST_F(EdgeTakeover, a_connection_that_does_not_greet_leaves_the_link_alone_and_ends) {
  Process core("a"), silent("b");
  dials(core);
  silent.mute = true;
  dials(silent);
  EXPECT_TRUE(core.is_linked());
  passes(limits::kLinkDeadAfter + 1s);
  EXPECT_TRUE(core.is_linked());
  EXPECT_EQ(links_.size(), 1u) << "it was closed";
}

TEST_F(EdgeTakeover, a_greeting_may_come_in_pieces_and_nonsense_is_refused) {
  Process core("a"), next("b");
  dials(core);
  next.mute = true;
  dials(next);
  next.mute = false;
  std::string hello;
  ASSERT_TRUE(next.session.take_output(hello, now_.mono));
  for (const char byte : hello) {
    EXPECT_TRUE(core.is_linked());
    edge_->handle_bytes(*next.conn, std::string(1, byte), now_);
    exchange();
  }
  EXPECT_TRUE(next.is_linked());

  Process liar("c");
  liar.mute = true;
  dials(liar);
  edge_->handle_bytes(*liar.conn, std::string(64, '\xff'), now_);
  exchange();
  EXPECT_TRUE(next.is_linked());
  EXPECT_EQ(links_.size(), 1u);
}

TEST_F(EdgeTakeover, a_core_of_another_row_is_refused_as_before) {
  Process a("a"), other("b");
  dials(a);
  dials(other, 1);
  EXPECT_FALSE(other.is_linked());
  EXPECT_EQ(other.heard(), Lines{"link.second-core"});
  EXPECT_TRUE(a.is_linked());
}

}  // namespace
}  // namespace sallyport::gate

// What an edge tells both sides when its core is lost for long, and when one is there again.
#include "gate/edge_fixture.h"
#include "gate/shown_page.h"

namespace sallyport::gate {
namespace {

struct EdgePresence : EdgeFixture {
  EdgePresence() {
    servers_.answer = ReceivingServers::Dials::kAccepted;
    servers_.acknowledge = true;
    starts();
    link_comes_up();
    core_pushes(push(1, {"partner.example"}));
    core_sends(presence("alice@example.com/a", "bob@partner.example"));
    core_sends(presence("room@example.com/bob", "bob@partner.example/b"));
    remote_sends(presence("bob@partner.example/b", "alice@example.com"));
    remote_sends(presence("bob@partner.example/b", "room@example.com/bob"));
    for (int i = 0; i < 2; ++i) core_.settles(std::nullopt, now_);
    passes(1s);
    core_receives();
    servers_.received.clear();
  }
  static std::string presence(const std::string& from, const std::string& to, const std::string& type = {}) {
    return "<presence from='" + from + "' to='" + to + "'" + (type.empty() ? "" : " type='" + type + "'") +
           "/>";
  }
  void core_comes_back(const std::string& instance) {
    if (instance != "core") core_ = core(instance);
    link_comes_up();
    core_pushes(push(1, {"partner.example"}));
  }
  // Of stanzas that have come to the core: kind, addresses and type.
  Lines told_inward() {
    Lines lines;
    for (const auto& each : std::exchange(core_.received, {}))
      lines.push_back(
          fmt::format("{} to {} {}", each.stanza.from_text(), each.stanza.to_text(), each.stanza.type()));
    return lines;
  }
  Lines told_outward() {
    Lines lines;
    for (const auto& stanza : std::exchange(servers_.received, {}))
      lines.push_back(fmt::format("{} to {} {}", stanza.from_text(), stanza.to_text(), stanza.type()));
    return lines;
  }
};

TEST_F(EdgePresence, users_are_unavailable_to_remote_servers_once_the_core_is_lost) {
  link_is_lost();
  passes(limits::kLinkDeadAfter - 1s);
  EXPECT_EQ(told_outward(), Lines{});
  passes(2s);
  EXPECT_EQ(told_outward(), (Lines{"alice@example.com/a to bob@partner.example unavailable",
                                   "room@example.com/bob to bob@partner.example/b unavailable"}));
}

TEST_F(EdgePresence, a_new_core_is_told_who_is_gone_and_contacts_are_asked_for_on_both_sides) {
  link_is_lost();
  passes(limits::kLinkDeadAfter + 1s);
  told_outward();
  core_comes_back("another");
  EXPECT_EQ(told_inward(), (Lines{"bob@partner.example/b to alice@example.com unavailable",
                                  "bob@partner.example/b to room@example.com/bob unavailable",
                                  "bob@partner.example to alice@example.com probe"}));
  EXPECT_EQ(told_outward(), Lines{"alice@example.com to bob@partner.example probe"});
}

TEST_F(EdgePresence, a_core_that_lives_has_taken_back_itself_what_was_shown_inward) {
  link_is_lost();
  passes(limits::kLinkDeadAfter + 1s);
  told_outward();
  core_comes_back("core");
  EXPECT_EQ(told_inward(), Lines{"bob@partner.example to alice@example.com probe"});
  EXPECT_EQ(told_outward(), Lines{});
}

TEST_F(EdgePresence, a_short_loss_changes_nothing) {
  link_is_lost();
  passes(limits::kLinkDeadAfter / 2);
  core_comes_back("another");
  EXPECT_EQ(told_inward(), Lines{});
  EXPECT_EQ(told_outward(), Lines{});
}

TEST_F(EdgePresence, of_a_pair_that_policy_does_not_admit_any_more_nothing_is_said) {
  link_is_lost();
  passes(limits::kLinkDeadAfter + 1s);
  told_outward();
  core_ = core("another");
  link_comes_up();
  core_pushes(push(2, {"other.example"}));
  EXPECT_EQ(told_inward(), Lines{});
  EXPECT_EQ(told_outward(), Lines{});
}

TEST_F(EdgePresence, a_core_that_asks_is_told_what_is_shown) {
  core_.session.ask(link::ControlAsk{shown_question(0)});
  exchange();
  ASSERT_EQ(core_.answered.size(), 1u);
  const auto page = parse_shown(*core_.answered[0].answer);
  Lines told;
  for (const auto& each : page->shown)
    told.push_back(fmt::format("{}: {} to {}", policy::direction_name(each.direction), each.from, each.to));
  EXPECT_EQ(told, (Lines{"out: alice@example.com/a to bob@partner.example",
                         "out: room@example.com/bob to bob@partner.example/b",
                         "in: bob@partner.example/b to alice@example.com",
                         "in: bob@partner.example/b to room@example.com/bob"}));
  EXPECT_FALSE(page->more);
}

}  // namespace
}  // namespace sallyport::gate

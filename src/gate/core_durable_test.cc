// A core that keeps messages in its spool: what is on disk, what is acknowledged, what is sent again, and
// what a new process does with what the old one left.
#include <boost/json.hpp>

#include "gate/core_fixture.h"

namespace sallyport::gate {
namespace {

const Error kDown{Code::kDialRefused, "nobody listens"};

struct CoreDurable : CoreFixture {
  CoreDurable() {
    storage_.disk.emplace();
    servers_.acknowledge = true;
    begins();
  }
  void begins() {
    starts("[[allow]]\ndomain = \"partner.example\"\n", "delivery = \"durable\"\n");
    link_comes_up();
  }
  static std::string out(const std::string& id, const std::string& type = "chat",
                         const std::string& more = {}) {
    return fmt::format(
        "<message from='alice@example.com' to='bob@partner.example' id='{}' "
        "type='{}'><body>{}</body>{}</message>",
        id, type, id, more);
  }
  static std::string in(const std::string& id) {
    return fmt::format(
        "<message from='bob@partner.example' to='alice@example.com' id='{}'><body>{}</body></message>", id,
        id);
  }
  static Lines to_bob(const std::vector<std::string>& ids) {
    Lines lines;
    for (const auto& id : ids) lines.push_back("alice@example.com to bob@partner.example: " + id);
    return lines;
  }
  boost::json::object asks(const std::string& question) {
    auto answer = boost::json::parse(core_->control(question, now_)).as_object();
    exchange();
    return answer;
  }
  // While time passes, the edge stays connected.
  void waits(Duration time) {
    const Time until = now_.mono + time;
    while (now_.mono < until) passes(std::min<Duration>(1s, until - now_.mono));
  }
};

TEST_F(CoreDurable, a_message_goes_on_at_once_and_is_on_disk_until_it_is_delivered) {
  internal_sends(out("1"));
  EXPECT_EQ(edge_receives(), to_bob({"1"}));
  EXPECT_EQ(storage_.disk->messages(), 1u);
  edge_settles(std::nullopt);
  EXPECT_EQ(storage_.disk->messages(), 0u);
}

TEST_F(CoreDurable, a_presence_behind_a_message_does_not_overtake_it) {
  const ConnId conn = internal_.stream_for(stanza_of(out("1")));
  internal_.says(conn, out("1") + "<presence from='alice@example.com' to='bob@partner.example'/>" + out("2"));
  exchange();
  Lines kinds;
  for (const auto& each : edge_->received) kinds.emplace_back(xmpp::kind_name(each.stanza.kind()));
  EXPECT_EQ(kinds, (Lines{"message", "presence", "message"}));
}

TEST_F(CoreDurable, other_stanzas_are_not_kept) {
  for (const std::string& xml :
       {out("1", "chat", "<no-store xmlns='urn:xmpp:hints'/>"), out("2", "groupchat"),
        std::string("<presence from='alice@example.com' to='bob@partner.example' type='subscribe'/>"),
        std::string(
            "<iq from='alice@example.com' to='bob@partner.example' id='3' type='get'><q xmlns='x'/></iq>")}) {
    internal_sends(xml);
    EXPECT_EQ(edge_receives().size(), 1u) << xml;
    EXPECT_EQ(storage_.disk->messages(), 0u) << xml;
    edge_settles(std::nullopt);
  }
}

TEST_F(CoreDurable, a_message_to_a_room_outside_is_kept_while_its_sender_is_in_that_room) {
  const auto enters = [&](const std::string& type) {
    internal_sends("<presence from='alice@example.com/a' to='room@partner.example/alice'" + type + "/>");
    edge_settles(std::nullopt);
  };
  const auto kept = [&](const std::string& from, const std::string& room) {
    internal_sends("<message from='" + from + "' to='" + room +
                   "@partner.example' id='1' type='groupchat'><body>1</body></message>");
    const auto count = storage_.disk->messages();
    edge_settles(std::nullopt);
    return count;
  };
  EXPECT_EQ(kept("alice@example.com/a", "room"), 0u);
  enters("");
  EXPECT_EQ(kept("alice@example.com/a", "room"), 1u);
  EXPECT_EQ(kept("alice@example.com/other", "room"), 0u);
  EXPECT_EQ(kept("alice@example.com/a", "roo"), 0u);
  EXPECT_EQ(kept("alice@example.com/a", "room2"), 0u);
  enters(" type='unavailable'");
  EXPECT_EQ(kept("alice@example.com/a", "room"), 0u);
}

TEST_F(CoreDurable, what_the_edge_cannot_deliver_now_is_sent_again_in_order_and_nobody_is_told) {
  for (const char* id : {"1", "2"}) internal_sends(out(id));
  edge_settles(kDown);
  edge_settles(kDown);
  internal_sends(out("3"));
  EXPECT_EQ(edge_receives(), to_bob({"1", "2"}));
  EXPECT_EQ(storage_.disk->messages(), 3u);
  waits(2 * limits::kQueueRetryMin);
  EXPECT_EQ(edge_receives(), to_bob({"1", "2", "3"}));
  for (int i = 0; i < 3; ++i) edge_settles(std::nullopt);
  EXPECT_EQ(storage_.disk->messages(), 0u);
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreDurable, what_is_refused_for_good_is_answered) {
  internal_sends(out("1"));
  edge_settles(Error{Code::kDnsNoName, {}});
  EXPECT_EQ(storage_.disk->messages(), 0u);
  EXPECT_EQ(internal_receives().size(), 1u);
}

// An answer that nobody has dies with the process.
TEST_F(CoreDurable, what_is_refused_stays_on_disk_until_the_server_of_its_sender_has_the_answer) {
  servers_.answer = ReceivingServers::Dials::kUnanswered;
  internal_sends(out("1"));
  edge_settles(Error{Code::kDnsNoName, {}});
  EXPECT_EQ(storage_.disk->messages(), 1u);
}

TEST_F(CoreDurable, a_server_that_comes_back_gets_the_answer) {
  servers_.answer = ReceivingServers::Dials::kRefused;
  internal_sends(out("1"));
  edge_settles(Error{Code::kDnsNoName, {}});
  EXPECT_EQ(storage_.disk->messages(), 1u);
  servers_.answer = ReceivingServers::Dials::kAccepted;
  EXPECT_EQ(edge_receives(), to_bob({"1"}));
  waits(1min);
  EXPECT_EQ(edge_receives(), Lines{}) << "it is not sent again";
  EXPECT_EQ(storage_.disk->messages(), 0u);
  EXPECT_EQ(internal_receives().size(), 1u);
}

TEST_F(CoreDurable, an_answer_that_nobody_takes_is_given_up_in_the_end) {
  servers_.answer = ReceivingServers::Dials::kRefused;
  internal_sends(out("1"));
  edge_settles(Error{Code::kDnsNoName, {}});
  for (int minutes = 0; minutes < 10; ++minutes) waits(1min);
  EXPECT_EQ(storage_.disk->messages(), 0u);
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreDurable, what_is_refused_inward_stays_on_disk_until_the_edge_has_settled_the_answer) {
  servers_.answer = ReceivingServers::Dials::kRefused;
  edge_sends(in("1"));
  EXPECT_EQ(outcomes(), Lines{"1 delivered"});
  asks(R"({"ask":"queue purge"})");
  const Lines answers = edge_receives();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_NE(answers[0].find("to bob@partner.example"), std::string::npos) << answers[0];
  EXPECT_EQ(storage_.disk->messages(), 1u);
  edge_settles(std::nullopt);
  EXPECT_EQ(storage_.disk->messages(), 0u);
}

TEST_F(CoreDurable, a_stanza_from_the_peer_wakes_what_waits_for_it) {
  internal_sends(out("1"));
  edge_settles(kDown);
  edge_receives();
  edge_sends(in("9"));
  waits(limits::kQueueRetryMin);
  EXPECT_EQ(edge_receives(), to_bob({"1"}));
}

TEST_F(CoreDurable, a_new_process_sends_what_the_old_one_left) {
  for (const char* id : {"1", "2"}) internal_sends(out(id));
  edge_settles(std::nullopt);
  begins();
  waits(2 * limits::kQueueRetryMin);
  EXPECT_EQ(edge_receives(), to_bob({"2"}));
  edge_settles(std::nullopt);
  EXPECT_EQ(storage_.disk->messages(), 0u);
}

TEST_F(CoreDurable, a_new_policy_decides_about_what_waits) {
  internal_sends(out("1"));
  edge_settles(kDown);
  edge_receives();
  applies("", "delivery = \"durable\"\n");
  waits(2 * limits::kQueueRetryMin);
  EXPECT_EQ(edge_receives(), Lines{});
  EXPECT_EQ(storage_.disk->messages(), 0u);
  const Lines told = internal_receives();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("not-allowed"), std::string::npos) << told[0];
}

TEST_F(CoreDurable, without_a_link_it_waits_on_disk_and_goes_out_when_one_comes_up) {
  edge_->loses_link(*core_, now_);
  exchange();
  internal_sends(out("1"));
  EXPECT_EQ(storage_.disk->messages(), 1u);
  link_comes_up();
  waits(limits::kQueueRetryMin);
  EXPECT_EQ(edge_receives(), to_bob({"1"}));
}

TEST_F(CoreDurable, a_new_process_of_the_edge_is_sent_nothing_that_stands_behind_what_the_old_one_refused) {
  for (const char* id : {"1", "2"}) internal_sends(out(id));
  edge_settles(kDown);
  edge_->loses_link(*core_, now_);
  link_comes_up();
  EXPECT_EQ(edge_receives(), Lines{}) << "1 waits for its next attempt, and 2 would overtake it";
  waits(2 * limits::kQueueRetryMin);
  EXPECT_EQ(edge_receives(), to_bob({"1", "2"}));
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreDurable, a_new_process_of_the_edge_is_sent_at_once_what_stands_in_front_of_it) {
  for (const char* id : {"1", "2", "3"}) internal_sends(out(id));
  edge_->settles(1, kDown, now_);
  passes(limits::kSettleAheadDelay);
  edge_->loses_link(*core_, now_);
  link_comes_up();
  EXPECT_EQ(edge_receives(), to_bob({"1"}));
  edge_settles(std::nullopt);
  waits(2 * limits::kQueueRetryMin);
  EXPECT_EQ(edge_receives(), to_bob({"2", "3"}));
}

TEST_F(CoreDurable, a_message_from_outside_is_settled_when_it_is_on_disk) {
  servers_.answer = ReceivingServers::Dials::kRefused;
  edge_sends(in("1"));
  EXPECT_EQ(outcomes(), Lines{"1 delivered"});
  EXPECT_EQ(storage_.disk->messages(), 1u);
  servers_.answer = ReceivingServers::Dials::kAccepted;
  waits(10 * limits::kQueueRetryMin);
  EXPECT_EQ(internal_receives().size(), 1u);
  EXPECT_EQ(storage_.disk->messages(), 0u);
}

TEST_F(CoreDurable, on_a_slow_disk_it_is_settled_when_the_internal_server_has_it) {
  storage_.is_slow = true;
  edge_sends(in("1"));
  EXPECT_EQ(internal_receives().size(), 1u);
  EXPECT_EQ(outcomes(), Lines{"1 delivered"});
}

TEST_F(CoreDurable, on_a_full_disk_messages_pass_as_those_that_are_not_kept) {
  storage_.disk->fails = true;
  internal_sends(out("1"));
  EXPECT_EQ(edge_receives(), to_bob({"1"}));
  edge_settles(kDown);
  EXPECT_EQ(internal_receives().size(), 1u) << "its sender is told at once";
  EXPECT_TRUE(asks(R"({"ask":"status"})").at("queue").as_object().contains("failing"));
}

TEST_F(CoreDurable, on_a_full_disk_the_sender_of_what_would_have_to_wait_learns_no_path) {
  internal_sends(out("1"));
  edge_settles(kDown);
  storage_.disk->fails = true;
  internal_sends(out("2"));
  const Lines told = internal_receives();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("spool.unwritable"), std::string::npos) << told[0];
  EXPECT_EQ(told[0].find("no space left"), std::string::npos) << "what the spool said: " << told[0];
}

TEST_F(CoreDurable, the_queue_is_listed_tried_again_and_purged) {
  internal_sends(out("1"));
  edge_settles(kDown);
  edge_receives();
  const auto list = asks(R"({"ask":"queue list"})");
  EXPECT_EQ(list.at("queue").at("messages").to_number<std::uint64_t>(), 1u);
  const auto& row = list.at("flows").as_array().at(0).as_object();
  EXPECT_EQ(row.at("remote").as_string(), "partner.example");
  EXPECT_EQ(row.at("direction").as_string(), "out");
  EXPECT_EQ(row.at("messages").to_number<std::uint64_t>(), 1u);
  EXPECT_EQ(row.at("ages").as_array().at(0).to_number<std::uint64_t>(), 1u);
  EXPECT_EQ(row.at("code").as_string(), "dial.refused");
  EXPECT_TRUE(asks(R"({"ask":"queue list","domain":"other.example"})").at("flows").as_array().empty());
  EXPECT_TRUE(asks(R"({"ask":"queue list","older_than":3600})").at("flows").as_array().empty());
  EXPECT_EQ(asks(R"({"ask":"queue retry","older_than":3600})").at("flows").to_number<std::uint64_t>(), 0u);
  now_.civil += 1h;
  EXPECT_EQ(asks(R"({"ask":"queue list","older_than":3600})").at("flows").as_array().size(), 1u);
  EXPECT_EQ(asks(R"({"ask":"queue retry","domain":"partner.example","older_than":3600})")
                .at("flows")
                .to_number<std::uint64_t>(),
            1u);
  EXPECT_EQ(edge_receives().size(), 1u);
  edge_settles(kDown);
  EXPECT_EQ(
      asks(R"({"ask":"queue purge","domain":"partner.example"})").at("messages").to_number<std::uint64_t>(),
      1u);
  EXPECT_EQ(storage_.disk->messages(), 0u);
  EXPECT_EQ(internal_receives().size(), 1u);
  EXPECT_TRUE(asks(R"({"ask":"queue purge","older_than":"soon"})").contains("error"));
}

TEST_F(CoreDurable, a_drained_core_leaves_what_waits_in_its_spool) {
  internal_sends(out("1"));
  edge_settles(kDown);
  core_->drain(now_);
  waits(3 * limits::kQueueRetryMin);
  EXPECT_TRUE(core_->is_drained());
  EXPECT_EQ(storage_.disk->messages(), 1u);
  EXPECT_EQ(internal_receives(), Lines{});
}

}  // namespace
}  // namespace sallyport::gate

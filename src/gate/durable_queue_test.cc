// Messages in the spool: when each is accepted, sent, sent again and answered.
#include "gate/durable_queue_fixture.h"

namespace sallyport::gate {
namespace {

TEST_F(DurableQueueTest, a_message_is_sent_at_once_and_accepted_when_it_is_on_disk) {
  EXPECT_TRUE(accepts("1"));
  EXPECT_EQ(events(), Lines{"send 1"});
  stores();
  EXPECT_EQ(events(), Lines{"accepted 1"});
  EXPECT_EQ(spool.messages(), 1u);
  EXPECT_TRUE(settles("1"));
  stores();
  EXPECT_EQ(events(), Lines{});
  EXPECT_EQ(spool.messages(), 0u);
  EXPECT_EQ(spool.flows(), 0u);
  EXPECT_EQ(queue->bytes(), 0u);
  EXPECT_TRUE(queue->is_quiet());
}

TEST_F(DurableQueueTest, a_message_that_is_delivered_before_it_is_written_is_accepted_and_never_written) {
  accepts("1");
  settles("1");
  EXPECT_EQ(events(), (Lines{"send 1", "accepted 1"}));
  stores();
  EXPECT_EQ(spool.messages(), 0u);
}

TEST_F(DurableQueueTest, while_the_spool_writes_messages_are_collected_for_the_next_batch) {
  accepts("1");
  const auto batch = queue->poll_batch(now);
  for (const char* id : {"2", "3", "4"}) accepts(id);
  EXPECT_EQ(queue->poll_batch(now), nullptr);
  queue->handle_answer(spool.carry_out(*batch), now);
  stores();
  EXPECT_EQ(batches, 1);
  EXPECT_EQ(events(), (Lines{"send 1", "send 2", "send 3", "send 4", "accepted 1", "accepted 2", "accepted 3",
                             "accepted 4"}));
}

TEST_F(DurableQueueTest, what_is_refused_for_now_waits_and_is_sent_again_in_order_in_the_next_attempt) {
  for (const char* id : {"1", "2", "3"}) accepts(id);
  stores();
  EXPECT_EQ(on_way.at("1").attempt, 1);
  events();
  EXPECT_FALSE(settles("1", kDown));
  accepts("4");
  EXPECT_NE(queue->refused_with(on_way.at("2").message), nullptr) << "its carrier is to refuse it, too";
  settles("2", kDown);
  settles("3", kDown);
  stores();
  EXPECT_EQ(events(), Lines{"accepted 4"}) << "nothing overtakes what waits";
  passes(limits::kQueueRetryMin - 1us);
  EXPECT_EQ(events(), Lines{});
  passes(limits::kQueueRetryMin);
  EXPECT_EQ(events(), (Lines{"send 1", "send 2", "send 3", "send 4"}));
  EXPECT_EQ(on_way.at("1").attempt, 2);
}

TEST_F(DurableQueueTest, what_is_refused_for_good_is_its_senders_to_know) {
  for (const Code code :
       {Code::kPolicyDenied, Code::kDnsNoName, Code::kStanzaTooLargeForPeer, Code::kDeliveryUncertain}) {
    accepts("1");
    stores();
    EXPECT_TRUE(settles("1", Error{code, {}})) << code_row(code).name;
    stores();
    EXPECT_EQ(spool.messages(), 0u);
  }
}

TEST_F(DurableQueueTest, the_back_off_doubles_up_to_its_bound_and_begins_anew_after_a_delivery) {
  accepts("1");
  stores();
  Duration expected = limits::kQueueRetryMin;
  for (int i = 0; i < 12; ++i) {
    settles("1", kDown);
    ASSERT_TRUE(queue->poll_timeout());
    const Duration wait = *queue->poll_timeout() - now.mono;
    EXPECT_GE(wait, expected);
    EXPECT_LE(wait, expected * 5 / 4);
    expected = std::min<Duration>(2 * expected, limits::kQueueRetryMax);
    passes(wait);
  }
  settles("1");
  accepts("2");
  stores();
  settles("2", kDown);
  EXPECT_LE(*queue->poll_timeout() - now.mono, Duration(limits::kQueueRetryMin) * 5 / 4);
}

TEST_F(DurableQueueTest, a_peer_that_can_be_reached_wakes_its_flows_and_no_others) {
  accepts("1");
  accepts("2", kElsewhere);
  accepts("3", kIn);
  stores();
  for (const char* id : {"1", "2", "3"}) settles(id, kDown);
  events();
  // Some time after the attempt, in its back-off.
  for (int i = 0; i < 4; ++i) {
    passes(limits::kQueueRetryMin * 2);
    for (const char* id : {"1", "2", "3"})
      if (on_way.contains(id)) settles(id, kDown);
  }
  passes(limits::kQueueRetryMin);
  events();
  queue->wake(Direction::kOut, domain("far.example"), now);
  stores();
  EXPECT_EQ(events(), Lines{"send 1"});
  queue->wake_local(Direction::kIn, domain("example.com"), now);
  stores();
  EXPECT_EQ(events(), Lines{"send 3"});
  EXPECT_EQ(queue->retry(std::nullopt), 1u);
  stores();
  EXPECT_EQ(events(), Lines{"send 2"});
}

TEST_F(DurableQueueTest, what_only_a_missing_link_refused_goes_on_behind_what_is_on_its_way) {
  const struct {
    const char* name;
    const char* first_refused;
    Error how;
    Lines sent;  // when the link is there
  } kCases[] = {
      {"the later ones", "2", {Code::kLinkDown, {}}, {"send 2", "send 3", "send 4"}},
      {"an earlier one", "1", {Code::kLinkDown, {}}, {}},
      {"not only", "2", kDown, {}},
  };
  for (const auto& c : kCases) {
    spool = {};
    starts();
    for (const char* id : {"1", "2", "3"}) accepts(id);
    stores();
    settles(c.first_refused, c.how);
    settles("3", Error{Code::kLinkDown, {}});
    accepts("4");
    stores();
    events();
    queue->wake_all(Direction::kOut, now);
    stores();
    EXPECT_EQ(events(), c.sent) << c.name;
    while (!on_way.empty()) settles(on_way.begin()->first);
    passes(1min);
    while (!on_way.empty()) settles(on_way.begin()->first);
    stores();
    EXPECT_EQ(queue->messages(), 0u) << c.name;
  }
}

TEST_F(DurableQueueTest, waking_tries_again_soon_after_a_failure_but_not_at_once_and_the_back_off_stays) {
  accepts("1");
  stores();
  for (int i = 0; i < 10; ++i) {
    settles("1", kDown);
    events();
    queue->wake(Direction::kOut, domain("far.example"), now);
    stores();
    EXPECT_EQ(events(), Lines{}) << "a peer that writes much does not make us dial as often";
    passes(limits::kQueueRetryMin);
    EXPECT_EQ(events(), Lines{"send 1"});
  }
}

TEST_F(DurableQueueTest, a_new_process_sends_what_the_old_one_left_in_order) {
  for (const char* id : {"1", "2", "3"}) accepts(id);
  stores();
  settles("2");
  stores();
  accepts("4");  // never written
  starts();
  EXPECT_EQ(queue->messages(), 2u);
  events();
  accepts("5");
  passes(limits::kQueueRetryMin);
  EXPECT_EQ(events(), (Lines{"accepted 5", "send 1", "send 3", "send 5"}));
  EXPECT_EQ(queue->sent_again(), 2u) << "the peer may have had 1 and 3";
}

TEST_F(DurableQueueTest, what_several_shards_left_of_a_pair_is_sent_once_in_the_order_of_acceptance) {
  DurableQueue second({.bytes_max = 64 << 20, .lifetime = 24h, .random = random, .log = log, .shard = 1});
  const auto second_accepts = [&](const std::string& id) {
    auto stanza = message(id);
    ASSERT_TRUE(second.accept(kOut, stanza, 0, now));
    while (const auto batch = second.poll_batch(now)) second.handle_answer(spool.carry_out(*batch), now);
  };
  for (const char* id : {"1", "2", "3"}) accepts(id);
  accepts("in", kIn);
  stores();
  passes(1s);
  second_accepts("4");  // its number is lower than that of 2
  second_accepts("5");
  passes(1s);
  accepts("6");
  stores();
  settles("2");
  stores();
  starts();
  EXPECT_EQ(queue->messages(), 6u);
  EXPECT_EQ(queue->flows().size(), 2u);
  events();
  passes(limits::kQueueRetryMin);
  Lines out = events();
  EXPECT_EQ(std::erase(out, "send in"), 1u);
  EXPECT_EQ(out, (Lines{"send 1", "send 3", "send 4", "send 5", "send 6"}));
  EXPECT_EQ(queue->sent_again(), 6u);
  while (!on_way.empty()) settles(on_way.begin()->first);
  stores();
  passes(48h);
  EXPECT_EQ(events(), Lines{});
  EXPECT_EQ(spool.messages(), 0u);
  EXPECT_EQ(spool.flows(), 0u);
  EXPECT_EQ(queue->messages(), 0u);
  EXPECT_EQ(queue->bytes(), 0u);
  EXPECT_TRUE(queue->is_quiet());
}

TEST_F(DurableQueueTest, numbers_are_never_used_again) {
  accepts("1");
  const auto first = on_way.at("1").message;
  stores();
  settles("1");
  stores();
  starts();
  accepts("2");
  EXPECT_GT(on_way.at("2").message, first);
}

TEST_F(DurableQueueTest, a_message_that_waited_is_stamped_once_it_is_late) {
  accepts("1");
  stores();
  settles("1", kDown);
  passes(4s);
  EXPECT_EQ(on_way.at("1").stanza.xml().find("urn:xmpp:delay"), std::string_view::npos);
  settles("1", kDown);
  passes(10s);
  EXPECT_NE(on_way.at("1").stanza.xml().find(
                "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2023-11-14T22:13:20Z'/></message>"),
            std::string_view::npos)
      << on_way.at("1").stanza.xml();
}

TEST_F(DurableQueueTest, what_expires_is_bounced_once) {
  accepts("1");
  stores();
  events();
  for (bool bounced = false; !bounced;) {
    settles("1", kDown);
    passes(limits::kQueueRetryMax * 2);
    const Lines seen = events();
    ASSERT_FALSE(seen.empty());
    bounced = seen.back() == "bounced 1 delivery.expired";
  }
  EXPECT_GE(now.civil - UnixTime{1'700'000'000s}, 24h);
  EXPECT_LE(now.civil - UnixTime{1'700'000'000s}, 24h + 2 * limits::kQueueRetryMax);
  EXPECT_EQ(spool.messages(), 0u);
  passes(24h);
  EXPECT_EQ(events(), Lines{});
}

TEST_F(DurableQueueTest, a_purge_answers_what_waits_and_what_comes_back) {
  for (const char* id : {"1", "2"}) accepts(id);
  accepts("3", kElsewhere);
  stores();
  settles("1", kDown);
  events();
  EXPECT_EQ(queue->purge(domain("far.example"), now.civil + 1s), 2u);
  settles("2", kDown);
  stores();
  passes(limits::kQueueRetryMin * 2);
  EXPECT_EQ(events(), (Lines{"bounced 1 delivery.purged", "bounced 2 delivery.purged"}));
  EXPECT_EQ(queue->messages(), 1u);
}

TEST_F(DurableQueueTest, a_purge_spares_what_comes_after_it_even_if_the_clock_is_set_back) {
  accepts("1");
  stores();
  settles("1", kDown);
  events();
  EXPECT_EQ(queue->purge(domain("far.example"), now.civil + 1s), 1u);
  now.civil -= 1h;
  accepts("2");
  EXPECT_EQ(queue->purge(domain("far.example"), now.civil - 1min), 0u) << "nothing is so old";
  stores();
  passes(limits::kQueueRetryMin * 2);
  EXPECT_EQ(events(), (Lines{"accepted 2", "bounced 1 delivery.purged", "send 2"}));
  EXPECT_EQ(queue->messages(), 1u);
}

TEST_F(DurableQueueTest, a_large_backlog_is_read_in_windows_and_leaves_in_order) {
  const std::size_t many = 3 * limits::kFlowWindowMessages;
  for (std::size_t i = 0; i < many; ++i) accepts(std::to_string(i));
  stores();
  EXPECT_EQ(on_way.size(), limits::kFlowWindowMessages);
  Lines sent;
  for (std::size_t i = 0; i < many; ++i) {
    ASSERT_TRUE(on_way.contains(std::to_string(i))) << i;
    settles(std::to_string(i));
    stores();
    EXPECT_LE(on_way.size(), limits::kFlowWindowMessages);
  }
  for (const auto& line : events())
    if (line.starts_with("send")) sent.push_back(line);
  ASSERT_EQ(sent.size(), many);
  for (std::size_t i = 0; i < many; ++i) EXPECT_EQ(sent[i], fmt::format("send {}", i));
  EXPECT_EQ(spool.messages(), 0u);
}

// --- a spool that fails

TEST_F(DurableQueueTest, on_a_full_disk_what_is_on_its_way_goes_on_and_what_waits_is_answered) {
  accepts("1");
  stores();
  settles("1", kDown);
  events();
  spool.fails = true;
  accepts("2");              // waits behind 1
  accepts("3", kElsewhere);  // on its way
  stores();
  EXPECT_EQ(events(), (Lines{"send 3", "bounced 2 spool.unwritable", "accepted 2"}));
  EXPECT_TRUE(queue->failing());
  settles("3");
  EXPECT_EQ(events(), Lines{"accepted 3"}) << "delivered without the disk";
  accepts("4", kElsewhere);
  passes(limits::kSpoolRetry);
  EXPECT_TRUE(settles("4", kDown)) << "it can not wait: its sender is told";
  EXPECT_EQ(events(), (Lines{"send 4", "accepted 4"}));
  spool.fails = false;
  passes(limits::kQueueRetryMax);
  EXPECT_EQ(events(), Lines{"send 1"});
  EXPECT_FALSE(queue->failing());
  settles("1");
  stores();
  EXPECT_EQ(spool.messages(), 0u);
  EXPECT_EQ(spool.flows(), 0u);
}

TEST_F(DurableQueueTest, what_a_full_disk_did_not_take_is_written_before_what_comes_behind_it) {
  accepts("1");
  accepts("2");
  spool.fails = true;
  stores();
  EXPECT_FALSE(queue->presses());
  settles("2");
  spool.fails = false;
  accepts("3");
  passes(limits::kSpoolRetry);
  EXPECT_EQ(events(), (Lines{"send 1", "send 2", "accepted 2", "send 3", "accepted 1", "accepted 3"}));
  starts();
  passes(limits::kQueueRetryMin);
  EXPECT_EQ(events(), (Lines{"send 1", "send 3"}));
  settles("1");
  settles("3");
  stores();
  EXPECT_EQ(spool.messages(), 0u);
}

TEST_F(DurableQueueTest, what_the_disk_takes_at_last_waits_as_any_other) {
  accepts("1");
  spool.fails = true;
  stores();
  spool.fails = false;
  passes(limits::kSpoolRetry);
  EXPECT_FALSE(settles("1", kDown));
  events();
  passes(limits::kQueueRetryMin * 2);
  EXPECT_EQ(events(), Lines{"send 1"});
}

TEST_F(DurableQueueTest, after_a_refusal_on_a_full_disk_the_next_message_is_of_another_attempt) {
  spool.fails = true;
  accepts("1");
  stores();
  const Attempt refused = on_way.at("1").attempt;
  EXPECT_TRUE(settles("1", kDown));
  stores();
  accepts("2");
  EXPECT_NE(on_way.at("2").attempt, refused) << "its carrier would refuse it";
  settles("2");
  accepts("3");
  EXPECT_EQ(on_way.at("3").attempt, 1) << "one of another attempt was sent since";
}

TEST_F(DurableQueueTest, a_message_that_is_too_large_for_what_is_left_of_the_window_is_read_once) {
  accepts("1", kOut, limits::kFlowWindowBytes / 2 - 10'000);
  accepts("2", kOut, 10);
  accepts("3", kOut, limits::kFlowWindowBytes * 2 / 3);
  stores();
  settles("2");
  const int before = batches;
  for (int i = 0; i < 10; ++i) {
    const auto batch = queue->poll_batch(now);
    if (!batch) break;
    ++batches;
    queue->handle_answer(spool.carry_out(*batch), now);
  }
  EXPECT_LE(batches - before, 2);
  settles("1");
  stores();
  EXPECT_TRUE(on_way.contains("3"));
}

TEST_F(DurableQueueTest, a_sender_is_told_of_the_disk_where_its_message_could_have_waited_there) {
  EXPECT_EQ(DurableQueue::answer_to(kDown).code, Code::kSpoolUnwritable);
  EXPECT_EQ(DurableQueue::answer_to({Code::kPolicyDenied, {}}).code, Code::kPolicyDenied);
}

TEST_F(DurableQueueTest, removals_of_a_batch_that_failed_are_not_lost) {
  accepts("1");
  stores();
  settles("1");
  spool.fails = true;
  stores();
  spool.fails = false;
  passes(limits::kSpoolRetry);
  EXPECT_EQ(spool.messages(), 0u);
}

// --- bounds

TEST_F(DurableQueueTest, one_peer_holds_no_more_than_its_share_and_all_no_more_than_the_whole) {
  const std::size_t total = 16 << 20;
  const std::size_t body = 256 << 10;
  starts(total);
  std::map<std::string, std::size_t> taken;
  for (const char* peer : {"a.one", "b.two", "c.three", "d.four", "e.five", "f.six"}) {
    const store::Flow flow{Direction::kOut, {domain("example.com"), domain(peer)}};
    while (accepts("x", flow, body)) ++taken[peer];
  }
  EXPECT_EQ(taken["a.one"], taken["b.two"]);
  EXPECT_GT(taken["a.one"], 0u);
  EXPECT_LE(queue->bytes(), total);
  EXPECT_LE(taken["a.one"] * body, limits::waiting_share(total));
}

TEST_F(DurableQueueTest, messages_that_ask_for_it_errors_and_other_stanzas_are_not_stored) {
  EXPECT_TRUE(may_be_stored(message("1")));
  for (const char* hint : {"no-store", "no-permanent-store"})
    EXPECT_FALSE(may_be_stored(message("1", 2, fmt::format("<{} xmlns='urn:xmpp:hints'/>", hint)))) << hint;
  EXPECT_TRUE(may_be_stored(message("1", 2, "<no-copy xmlns='urn:xmpp:hints'/>")));
  EXPECT_TRUE(may_be_stored(message("1", 2, "<store xmlns='urn:xmpp:hints'/>")));
  xmpp::StanzaReader reader;
  for (const char* xml :
       {"<message from='a@example.com' to='b@far.example' id='1' type='error'><body>x</body></message>",
        "<presence from='a@example.com' to='b@far.example'/>",
        "<iq from='a@example.com' to='b@far.example' id='1' type='get'><q xmlns='x'/></iq>"})
    EXPECT_FALSE(may_be_stored(*reader.read(xml))) << xml;
}

}  // namespace
}  // namespace sallyport::gate

// Messages of the durable queue that are answered: none is forgotten before its sender's server has the
// answer.
#include "gate/durable_queue_fixture.h"

namespace sallyport::gate {
namespace {

struct DurableQueueAnswers : DurableQueueTest {
  DurableQueueAnswers() { answers_arrive = false; }
  // One message that is on disk and waits for its next attempt.
  void waits(const std::string& id) {
    accepts(id);
    stores();
    settles(id, kDown);
    events();
  }
};

TEST_F(DurableQueueAnswers, whatever_ends_a_message_it_is_on_disk_until_its_answer_has_arrived) {
  const std::map<std::string, std::function<void()>> ends{
      {"delivery.expired",
       [&] {
         waits("1");
         now.civil += 24h;
         passes(limits::kQueueRetryMax);
       }},
      {"delivery.purged",
       [&] {
         waits("1");
         queue->purge(domain("far.example"), now.civil + 1s);
         stores();
       }},
      {"policy.denied",
       [&] {
         accepts("1");
         stores();
         EXPECT_TRUE(settles("1", Error{Code::kPolicyDenied, {}}));
       }},
  };
  for (const auto& [code, end] : ends) {
    SCOPED_TRACE(code);
    starts();
    end();
    stores();
    passes(limits::kQueueRetryMax);
    EXPECT_EQ(unanswered.size(), 1u) << "once";
    EXPECT_EQ(spool.messages(), 1u);
    EXPECT_EQ(queue->messages(), 1u);
    EXPECT_TRUE(queue->is_quiet()) << "a node that drains need not wait for it: the next process answers it";
    is_answered();
    EXPECT_EQ(spool.messages() + spool.flows(), 0u);
    EXPECT_TRUE(queue->is_empty());
    EXPECT_TRUE(queue->is_quiet());
    events();
  }
}

TEST_F(DurableQueueAnswers, the_next_process_answers_what_the_last_one_did_not_finish) {
  waits("1");
  now.civil += 24h;
  passes(limits::kQueueRetryMax);
  EXPECT_EQ(events(), Lines{"bounced 1 delivery.expired"});
  starts();
  unanswered.clear();
  passes(limits::kQueueRetryMax);
  EXPECT_EQ(events(), Lines{"bounced 1 delivery.expired"});
  is_answered();
  EXPECT_EQ(spool.messages(), 0u);
}

TEST_F(DurableQueueAnswers, an_answer_that_does_not_arrive_is_sent_again) {
  waits("1");
  now.civil += 24h;
  passes(limits::kQueueRetryMax);
  EXPECT_EQ(events(), Lines{"bounced 1 delivery.expired"});
  for (int i = 0; i < 2; ++i) {
    is_not_answered(kDown);
    EXPECT_EQ(events(), Lines{});
    EXPECT_EQ(spool.messages(), 1u);
    passes(30s);
    EXPECT_EQ(events(), Lines{"bounced 1 delivery.expired"});
    EXPECT_EQ(unanswered.size(), 1u);
  }
  is_answered();
  EXPECT_EQ(spool.messages() + spool.flows(), 0u);
  EXPECT_TRUE(queue->is_empty());
}

// Who asked for one error at most must not get the message once more instead.
TEST_F(DurableQueueAnswers, what_was_refused_for_good_is_not_sent_again_where_its_answer_is_lost) {
  for (const bool is_on_disk : {true, false}) {
    SCOPED_TRACE(is_on_disk);
    accepts("1");
    if (is_on_disk) stores();
    EXPECT_TRUE(settles("1", Error{Code::kDeliveryUncertain, {}}));
    events();
    is_not_answered(kDown);
    events();
    passes(30s);
    EXPECT_EQ(events(), Lines{"bounced 1 delivery.uncertain"});
    is_answered();
    EXPECT_EQ(spool.messages() + spool.flows(), 0u);
    EXPECT_TRUE(queue->is_empty());
  }
}

TEST_F(DurableQueueAnswers,
       what_is_behind_one_whose_answer_was_lost_goes_on_and_the_disk_is_not_read_in_vain) {
  for (const char* id : {"1", "2"}) accepts(id);
  stores();
  settles("1", Error{Code::kPolicyDenied, {}});
  is_not_answered(kDown);
  accepts("3");
  stores();
  events();
  batches = 0;
  passes(10s);
  EXPECT_EQ(events(), (Lines{"bounced 1 policy.denied", "send 3"}));
  EXPECT_LE(batches, 5);
}

TEST_F(DurableQueueAnswers, what_has_expired_stays_so_when_the_clock_is_set_back) {
  waits("1");
  now.civil += 24h;
  passes(limits::kQueueRetryMax);
  is_not_answered(kDown);
  events();
  now.civil -= 24h;
  passes(1min);
  EXPECT_EQ(events(), Lines{"bounced 1 delivery.expired"});
}

// What was read for those behind is dropped, and must be read again.
TEST_F(DurableQueueAnswers, an_answer_that_is_lost_while_others_are_read_does_not_stop_the_pair) {
  for (const char* id : {"1", "2", "3", "4"}) accepts(id);
  stores();
  const std::uint64_t first = on_way.at("1").message, second = on_way.at("2").message;
  for (const char* id : {"1", "2"}) settles(id, Error{Code::kPolicyDenied, {}});
  for (const char* id : {"3", "4"}) EXPECT_FALSE(settles(id, kDown));
  stores();
  unanswered.clear();
  events();
  queue->retry(std::nullopt);
  const auto batch = queue->poll_batch(now);
  ASSERT_TRUE(batch);
  queue->handle_answered(second, kDown, now);
  queue->handle_answered(first, {}, now);
  queue->handle_answer(spool.carry_out(*batch), now);
  stores();
  passes(limits::kQueueRetryMin);
  EXPECT_EQ(events(), (Lines{"bounced 2 policy.denied", "send 3", "send 4"}));
}

TEST_F(DurableQueueAnswers, an_answer_that_is_refused_for_good_or_may_have_arrived_is_not_sent_again) {
  for (const Code code : {Code::kPolicyDenied, Code::kDeliveryUncertain}) {
    waits("1");
    now.civil += 24h;
    passes(limits::kQueueRetryMax);
    is_not_answered({code, {}});
    EXPECT_EQ(spool.messages() + spool.flows(), 0u);
    EXPECT_TRUE(queue->is_empty());
  }
}

TEST_F(DurableQueueAnswers, what_was_purged_is_gone_when_its_answer_is_lost) {
  waits("1");
  queue->purge(domain("far.example"), now.civil + 1s);
  stores();
  EXPECT_EQ(events(), Lines{"bounced 1 delivery.purged"});
  is_not_answered(kDown);
  EXPECT_EQ(spool.messages() + spool.flows(), 0u);
}

TEST_F(DurableQueueAnswers, answers_that_never_arrive_are_given_up_after_a_while_and_let_others_pass) {
  const std::size_t many = 3 * limits::kFlowWindowMessages;
  for (std::size_t i = 0; i < many; ++i) accepts(std::to_string(i));
  stores();
  for (std::size_t i = 0; i < limits::kFlowWindowMessages; ++i) settles(std::to_string(i), kDown);
  now.civil += 24h;
  accepts("fresh");
  stores();
  const Time since = now.mono;
  while (now.mono < since + 4min && !on_way.contains("fresh")) {
    is_not_answered(kDown);
    queue->wake(Direction::kOut, domain("far.example"), now);
    passes(1s);
  }
  EXPECT_TRUE(on_way.contains("fresh"));
  EXPECT_GE(now.mono - since, 2min);
  EXPECT_EQ(queue->messages(), 1u);
}

TEST_F(DurableQueueAnswers, what_is_refused_for_good_waits_where_too_many_answers_are_awaited) {
  const std::size_t many = 3 * limits::kFlowWindowMessages;
  for (std::size_t i = 0; i < many; ++i) {
    const std::string id = std::to_string(i);
    EXPECT_TRUE(accepts(id));
    stores();
    if (on_way.contains(id)) settles(id, Error{Code::kPolicyDenied, {}});
  }
  EXPECT_EQ(unanswered.size(), limits::kFlowWindowMessages);
  std::size_t answered = 0, rounds = 0;
  while (answered < many && ++rounds < 10'000) {
    answered += unanswered.size();
    is_answered();
    while (!on_way.empty()) settles(on_way.begin()->first, Error{Code::kPolicyDenied, {}});
    EXPECT_LE(unanswered.size(), limits::kFlowWindowMessages);
  }
  EXPECT_EQ(answered, many);
  EXPECT_EQ(spool.messages() + spool.flows(), 0u);
}

TEST_F(DurableQueueAnswers, a_server_keeps_what_is_not_on_disk_until_the_answer_has_arrived) {
  accepts("1");
  EXPECT_TRUE(settles("1", Error{Code::kPolicyDenied, {}}));
  EXPECT_EQ(events(), Lines{"send 1"});
  is_answered();
  EXPECT_EQ(events(), Lines{"accepted 1"});
  EXPECT_EQ(spool.messages(), 0u);
}

TEST_F(DurableQueueAnswers, a_disk_that_fails_changes_nothing_for_what_is_being_answered) {
  accepts("1");
  EXPECT_TRUE(settles("1", Error{Code::kPolicyDenied, {}}));
  spool.fails = true;
  stores();
  EXPECT_EQ(events(), Lines{"send 1"});
  is_answered();
  EXPECT_EQ(events(), Lines{"accepted 1"});
  spool.fails = false;
  passes(limits::kSpoolRetry * 2);
  EXPECT_TRUE(queue->is_empty());
  EXPECT_EQ(spool.messages(), 0u);
}

TEST_F(DurableQueueAnswers, those_behind_one_that_is_being_answered_do_not_wait_for_it) {
  for (const char* id : {"1", "2", "3", "4"}) accepts(id);
  stores();
  EXPECT_FALSE(settles("1", kDown));
  EXPECT_TRUE(settles("2", Error{Code::kStanzaTooLargeForPeer, {}}));
  for (const char* id : {"3", "4"}) EXPECT_FALSE(settles(id, kDown));
  events();
  passes(limits::kQueueRetryMin * 2);
  EXPECT_EQ(events(), (Lines{"send 1", "send 3", "send 4"}));
  for (const char* id : {"1", "3", "4"}) settles(id);
  stores();
  EXPECT_EQ(spool.messages(), 1u);
  is_answered();
  EXPECT_EQ(spool.messages() + spool.flows(), 0u);
}

// What the spool read before the removal is out of date.
TEST_F(DurableQueueAnswers, one_whose_answer_arrives_while_those_behind_it_are_read_is_not_sent_again) {
  for (const char* id : {"1", "2", "3", "4"}) accepts(id);
  stores();
  EXPECT_FALSE(settles("1", kDown));
  EXPECT_TRUE(settles("2", Error{Code::kStanzaTooLargeForPeer, {}}));
  for (const char* id : {"3", "4"}) EXPECT_FALSE(settles(id, kDown));
  stores();
  events();
  queue->retry(std::nullopt);
  const auto batch = queue->poll_batch(now);
  ASSERT_TRUE(batch);
  auto answer = spool.carry_out(*batch);
  for (const auto number : std::exchange(unanswered, {})) queue->handle_answered(number, {}, now);
  queue->handle_answer(std::move(answer), now);
  stores();
  EXPECT_EQ(events(), (Lines{"send 1", "send 3", "send 4"}));
  for (const char* id : {"1", "3", "4"}) settles(id);
  stores();
  EXPECT_EQ(spool.messages() + spool.flows(), 0u);
}

// More at once would find no room on their way and be lost.
TEST_F(DurableQueueAnswers, a_large_purge_answers_no_more_at_once_than_fit_on_the_way) {
  const std::size_t many = 3 * limits::kFlowWindowMessages;
  waits("0");
  for (std::size_t i = 1; i < many; ++i) accepts(std::to_string(i));
  stores();
  events();
  EXPECT_EQ(queue->purge(domain("far.example"), now.civil + 1s), many);
  stores();
  std::size_t bounced = 0, rounds = 0;
  while (!unanswered.empty() && ++rounds < 100) {
    EXPECT_LE(unanswered.size(), limits::kFlowWindowMessages);
    bounced += unanswered.size();
    is_answered();
  }
  EXPECT_EQ(bounced, many);
  EXPECT_LE(rounds, 10u);
  EXPECT_EQ(spool.messages() + spool.flows(), 0u);
}

TEST_F(DurableQueueAnswers, while_answers_are_awaited_the_disk_is_not_read_again_and_again) {
  const std::size_t many = 2 * limits::kFlowWindowMessages;
  waits("0");
  for (std::size_t i = 1; i < many; ++i) accepts(std::to_string(i));
  stores();
  queue->purge(domain("far.example"), now.civil + 1s);
  stores();
  batches = 0;
  passes(limits::kQueueRetryMax);
  EXPECT_LE(batches, 10);
}

}  // namespace
}  // namespace sallyport::gate

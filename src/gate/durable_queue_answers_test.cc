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
  for (const auto number : std::exchange(unanswered, {})) queue->handle_answered(number, now);
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

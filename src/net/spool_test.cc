#include "net/spool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "net/spool_fixture.h"

namespace sallyport::net {
namespace {

using SpoolTest = SpoolFolder;

std::vector<store::StoredMessage> rows_of(const store::SpoolAnswer& answer) {
  EXPECT_TRUE(answer.stored);
  EXPECT_EQ(answer.rows.size(), 1U);
  return answer.rows.empty() ? std::vector<store::StoredMessage>{} : answer.rows.front().messages;
}

store::SpoolBatch read_of(store::SpoolRead read) { return {{}, {}, {}, {}, {read}}; }

TEST_F(SpoolTest, a_new_spool_holds_nothing_and_only_its_owner_may_read_it) {
  open();
  EXPECT_TRUE(spool_->contents().flows.empty());
  EXPECT_EQ(spool_->contents().last_message, 0U);
  EXPECT_EQ(spool_->contents().last_flow, 0U);
  ASSERT_TRUE(stores(one_flow()));
  for (const char* end : {"", "-wal", "-shm", "-lock"}) {
    struct stat about {};
    ASSERT_EQ(::stat((path_ + end).c_str(), &about), 0) << end;
    EXPECT_EQ(about.st_mode & 0777, 0600U) << end;
  }
}

TEST_F(SpoolTest, messages_come_back_as_they_were_in_the_order_of_their_numbers) {
  open();
  store::SpoolBatch batch{
      {{1, flow_to("a.example")}, {2, flow_to("b.example", policy::Direction::kIn)}}, {}, {}, {}, {}};
  store::StoredMessage odd{3, 1, at_second(0), std::string("<m>\0\xc3\xa4'\"</m>", 13)};
  batch.messages = {message_of(5, 1), odd, message_of(4, 2), message_of(7, 1, 100'000)};
  batch.reads = {
      {1, 0, 100, 1'000'000}, {2, 0, 100, 1'000'000}, {1, 4, 1, 1'000'000}, {3, 0, 100, 1'000'000}};
  const store::SpoolAnswer answer = run(batch);
  ASSERT_TRUE(answer.stored);
  ASSERT_EQ(answer.rows.size(), 4U);
  EXPECT_EQ(answer.rows[0].messages, (std::vector{odd, message_of(5, 1), message_of(7, 1, 100'000)}));
  EXPECT_EQ(answer.rows[1].messages, std::vector{message_of(4, 2)});
  EXPECT_EQ(answer.rows[2].messages, std::vector{message_of(5, 1)});
  EXPECT_EQ(answer.rows[2].read.from, 4U);
  EXPECT_TRUE(answer.rows[3].messages.empty());
}

TEST_F(SpoolTest, a_read_ends_at_the_count_or_at_the_bytes_but_has_one_message) {
  open();
  ASSERT_TRUE(stores(one_flow()));
  ASSERT_TRUE(stores(messages_of(1, 10)));  // of 100 bytes
  struct Row {
    store::SpoolRead read;
    std::size_t expected;
  } rows[] = {
      {{1, 0, 10, 10'000}, 10}, {{1, 0, 11, 10'000}, 10}, {{1, 0, 9, 10'000}, 9},   {{1, 0, 1, 10'000}, 1},
      {{1, 0, 0, 10'000}, 1},   {{1, 0, 10, 300}, 3},     {{1, 0, 10, 299}, 2},     {{1, 0, 10, 301}, 3},
      {{1, 0, 10, 99}, 1},      {{1, 0, 10, 0}, 1},       {{1, 10, 10, 10'000}, 1}, {{1, 11, 10, 10'000}, 0},
      {{2, 0, 10, 10'000}, 0},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::Message() << row.read.flow << ' ' << row.read.from << ' ' << row.read.count << ' '
                                    << row.read.bytes);
    EXPECT_EQ(rows_of(run(read_of(row.read))).size(), row.expected);
  }
}

TEST_F(SpoolTest, removed_messages_are_gone_and_the_absent_is_ignored) {
  open();
  ASSERT_TRUE(stores(one_flow()));
  ASSERT_TRUE(stores(messages_of(1, 4)));
  store::SpoolBatch batch = messages_of(5, 6);
  batch.removed = {2, 5, 77, 2};
  batch.reads = {{1, 0, 100, 10'000}};
  EXPECT_EQ(rows_of(run(batch)), (std::vector{message_of(1), message_of(3), message_of(4), message_of(6)}));
  EXPECT_EQ(stored_numbers(), (std::vector<std::uint64_t>{1, 3, 4, 6}));
}

TEST_F(SpoolTest, a_flow_with_messages_is_not_forgotten) {
  open();
  ASSERT_TRUE(stores({{{1, flow_to("a.example")}, {2, flow_to("b.example")}}, {message_of(1)}, {}, {}, {}}));
  ASSERT_TRUE(stores({{}, {}, {}, {1, 2, 3}, {}}));
  EXPECT_TRUE(stores(messages_of(2, 2)));
  EXPECT_FALSE(stores({{}, {message_of(3, 2)}, {}, {}, {}}));  // its flow is forgotten
}

TEST_F(SpoolTest, a_reopened_spool_tells_its_flows_with_the_minutes_of_acceptance) {
  open();
  const store::NumberedFlow first{4, flow_to("a.example")};
  const store::NumberedFlow second{9, flow_to("xn--bcher-kva.example", policy::Direction::kIn)};
  store::SpoolBatch batch{{first, second, {10, flow_to("empty.example")}}, {}, {}, {}, {}};
  const auto add = [&](std::uint64_t number, std::uint64_t flow, std::int64_t second_of, std::size_t bytes) {
    batch.messages.push_back({number, flow, at_second(second_of), std::string(bytes, 'x')});
  };
  add(11, 4, 119, 10);
  add(12, 9, 120, 20);
  add(13, 4, 60, 30);
  add(14, 4, 120, 40);  // the next minute
  add(15, 4, 30, 50);   // the clock was set back
  add(16, 4, 120, 60);
  batch.removed = {16};
  ASSERT_TRUE(stores(batch));
  open();
  const store::SpoolContents& contents = spool_->contents();
  ASSERT_EQ(contents.flows.size(), 2U);
  EXPECT_EQ(contents.flows[0],
            (store::SpoolContents::Held{
                first, 11, {{at_second(0), 1, 50}, {at_second(60), 2, 40}, {at_second(120), 1, 40}}}));
  EXPECT_EQ(contents.flows[1], (store::SpoolContents::Held{second, 12, {{at_second(120), 1, 20}}}));
  EXPECT_EQ(contents.last_message, 16U);
  EXPECT_EQ(contents.last_flow, 10U);
  // The empty flow was not told, so its number is free of everything.
  EXPECT_TRUE(stores({{{10, flow_to("other.example")}}, {message_of(17, 10)}, {}, {}, {}}));
}

// What three flows of one pair and direction have, between others.
store::SpoolBatch of_several_shards() {
  const store::Flow pair = flow_to("a.example");
  store::SpoolBatch batch{{{16, pair},
                           {17, pair},
                           {18, pair},
                           {19, flow_to("a.example", policy::Direction::kIn)},
                           {32, flow_to("b.example")},
                           {33, pair}},  // without messages
                          {},
                          {},
                          {},
                          {}};
  const auto add = [&](std::uint64_t number, std::uint64_t flow, std::int64_t second) {
    batch.messages.push_back(message_of(number, flow));
    batch.messages.back().accepted = at_second(second);
  };
  add(16, 16, 100);
  add(32, 16, 300);
  add(48, 16, 200);  // the clock was set back, but 32 came before it
  add(17, 17, 150);
  add(33, 17, 250);
  add(65, 17, 299);
  add(18, 18, 300);  // in one second with 32
  add(19, 19, 1'000);
  add(40, 32, 1);
  return batch;
}

TEST_F(SpoolTest, flows_of_one_pair_and_direction_are_one_after_the_start_in_the_order_of_acceptance) {
  open();
  const store::SpoolBatch before = of_several_shards();
  ASSERT_TRUE(stores(before));
  for (int i = 0; i < 2; ++i) {  // the second time nothing is left to do
    SCOPED_TRACE(i);
    open();
    const store::SpoolContents& contents = spool_->contents();
    ASSERT_EQ(contents.flows.size(), 3U);
    EXPECT_EQ(contents.flows[0], (store::SpoolContents::Held{{16, flow_to("a.example")},
                                                             66,
                                                             {{at_second(60), 1, 100},
                                                              {at_second(120), 1, 100},
                                                              {at_second(180), 1, 100},
                                                              {at_second(240), 2, 200},
                                                              {at_second(300), 2, 200}}}));
    EXPECT_EQ(contents.flows[1].flow, before.flows[3]);
    EXPECT_EQ(contents.flows[1].first, 19U);
    EXPECT_EQ(contents.flows[2].flow, before.flows[4]);
    EXPECT_EQ(contents.flows[2].first, 40U);
    EXPECT_EQ(contents.last_message, 72U);
    EXPECT_EQ(contents.last_flow, 33U);
  }
  std::vector<store::StoredMessage> expected;
  for (const std::uint64_t old : std::vector<std::uint64_t>{16, 17, 33, 65, 18, 32, 48}) {
    store::StoredMessage message = *std::ranges::find(before.messages, old, &store::StoredMessage::number);
    message.number = 66 + expected.size();
    message.flow = 16;
    expected.push_back(std::move(message));
  }
  EXPECT_EQ(rows_of(run(read_of({16, 66, 100, 100'000}))), expected);
  EXPECT_TRUE(rows_of(run(read_of({17, 0, 100, 100'000}))).empty());

  store::SpoolBatch settled = removal_of(66, 72);
  settled.forgotten = {16};
  ASSERT_TRUE(stores(settled));
  open();
  EXPECT_EQ(stored_numbers(), (std::vector<std::uint64_t>{19, 40}));
  EXPECT_EQ(spool_->contents().flows.size(), 2U);
  EXPECT_EQ(spool_->contents().last_message, 72U) << "these numbers are not used again, either";
}

TEST_F(SpoolTest, one_flow_of_a_pair_keeps_the_number_of_the_shard_that_accepted_last) {
  open();
  store::SpoolBatch batch{{{16, flow_to("a.example")}, {17, flow_to("a.example")}}, {}, {}, {}, {}};
  batch.messages = {message_of(17, 17), message_of(16, 16), message_of(33, 17)};
  ASSERT_TRUE(stores(batch));
  open();
  ASSERT_EQ(spool_->contents().flows.size(), 1U);
  EXPECT_EQ(spool_->contents().flows[0].flow.number, 17U);
  EXPECT_EQ(stored_numbers(), range(34, 36));
}

TEST_F(SpoolTest, flows_that_cannot_be_merged_stop_the_start_and_lose_nothing) {
  open();
  ASSERT_TRUE(stores(of_several_shards()));
  const auto before = stored_numbers();
  spool_.reset();
  SqliteConnection writer;
  ASSERT_EQ(open_sqlite(path_, SQLITE_OPEN_READWRITE, 0, writer), SQLITE_OK);
  ASSERT_EQ(execute(writer.get(), "BEGIN IMMEDIATE"), SQLITE_OK);
  const auto refused = Spool::open(path_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kSpoolBusy) << refused.error().text;
  writer.reset();
  EXPECT_EQ(stored_numbers(), before);
  open();
  EXPECT_EQ(spool_->contents().flows.size(), 3U);
}

TEST_F(SpoolTest, numbers_are_remembered_when_everything_is_removed) {
  open();
  ASSERT_TRUE(stores({{{7, flow_to("a.example")}}, {message_of(40, 7)}, {}, {}, {}}));
  ASSERT_TRUE(stores({{}, {message_of(41, 7)}, {40, 41}, {7}, {}}));
  for (int i = 0; i < 2; ++i) {
    open();
    EXPECT_TRUE(spool_->contents().flows.empty());
    EXPECT_EQ(spool_->contents().last_message, 41U);
    EXPECT_EQ(spool_->contents().last_flow, 7U);
  }
}

TEST_F(SpoolTest, a_batch_that_fails_stores_nothing_finds_nothing_and_leaves_the_others_alone) {
  struct Row {
    const char* what;
    store::SpoolBatch bad;
  } rows[] = {
      {"a number that is stored",
       {{{5, flow_to("c.example")}}, {message_of(20), message_of(1)}, {2}, {}, {{1, 0, 9, 999}}}},
      {"a flow that is not stored", {{}, {message_of(20), message_of(21, 8)}, {2}, {}, {{1, 0, 9, 999}}}},
      {"a flow that is stored", {{{1, flow_to("a.example")}}, {message_of(20)}, {2}, {}, {{1, 0, 9, 999}}}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    std::filesystem::remove(path_);
    Result<std::unique_ptr<SpoolFile>> file = SpoolFile::open(path_);
    ASSERT_TRUE(file) << file.error().text;
    ASSERT_TRUE((*file)->contents());
    store::SpoolBatch before = messages_of(1, 2);
    before.flows = one_flow().flows;
    before.reads = {{1, 0, 100, 10'000}};
    const store::SpoolBatch after = messages_of(3, 3);
    const auto answers = (*file)->carry_out({&before, &row.bad, &after});
    ASSERT_EQ(answers.size(), 3U);
    EXPECT_EQ(rows_of(answers[0]), (std::vector{message_of(1), message_of(2)}));
    ASSERT_FALSE(answers[1].stored);
    EXPECT_EQ(answers[1].stored.error().code, Code::kSpoolUnwritable);
    EXPECT_NE(answers[1].stored.error().text.find(path_), std::string::npos);
    ASSERT_EQ(answers[1].rows.size(), 1U);
    EXPECT_TRUE(answers[1].rows[0].messages.empty());
    EXPECT_TRUE(answers[2].stored);
    EXPECT_EQ(stored_numbers(), range(1, 3));
    EXPECT_EQ((*file)->contents()->last_message, 3U);
  }
}

TEST_F(SpoolTest, each_of_many_batches_of_many_threads_gets_its_own_answer_on_its_loop) {
  open();
  ASSERT_TRUE(stores(one_flow()));
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kBatches = 50;
  std::vector<std::thread> threads;
  std::vector<asio::io_context> loops(kThreads);
  for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      asio::io_context& loop = loops[thread];
      const auto work = asio::make_work_guard(loop);
      const auto here = std::this_thread::get_id();
      std::vector<std::uint64_t> answered;
      for (std::uint64_t i = 0; i < kBatches; ++i) {
        const std::uint64_t number = 1 + i * kThreads + thread;
        store::SpoolBatch batch = messages_of(number, number);
        batch.reads = {{1, number, 1, 1'000}};
        // What a done moves along need not be copyable.
        spool_->run(
            std::move(batch), loop.get_executor(),
            [&, here, mine = std::make_unique<std::uint64_t>(number)](const store::SpoolAnswer& answer) {
              EXPECT_EQ(std::this_thread::get_id(), here);
              EXPECT_EQ(rows_of(answer), std::vector{message_of(*mine)});
              answered.push_back(*mine);
            });
      }
      while (answered.size() < kBatches && loop.run_one_for(std::chrono::seconds(60)) > 0) {
      }
      EXPECT_EQ(answered.size(), kBatches);
      EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stored_numbers(), range(1, kThreads * kBatches));
  spool_.reset();  // the loops are still there
}

TEST_F(SpoolTest, stop_finishes_what_was_given_and_refuses_what_comes_later) {
  open();
  std::vector<bool> stored;
  const auto note = [&](const store::SpoolAnswer& answer) { stored.push_back(bool(answer.stored)); };
  spool_->run(one_flow(), io_.get_executor(), note);
  for (std::uint64_t i = 1; i <= 20; ++i) spool_->run(messages_of(i, i), io_.get_executor(), note);
  spool_->stop();
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));  // everything is in the database
  spool_->run(messages_of(21, 21), io_.get_executor(), note);
  wait(22);
  EXPECT_EQ(std::count(stored.begin(), stored.end(), true), 21);
  EXPECT_FALSE(stored.back());
  EXPECT_EQ(stored_numbers(), range(1, 20));
}

TEST_F(SpoolTest, a_second_writer_is_refused_until_the_first_is_over) {
  open();
  for (int i = 0; i < 2; ++i) {
    const auto second = Spool::open(path_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::kSpoolBusy);
    EXPECT_NE(second.error().text.find(path_), std::string::npos);
  }
  EXPECT_TRUE(stores(one_flow()));
  open();
}

TEST_F(SpoolTest, a_list_has_the_messages_that_match_and_shows_all_of_each) {
  open();
  store::SpoolBatch batch{{{1, flow_to("a.example")},
                           {2, flow_to("b.example", policy::Direction::kIn)},
                           {3, flow_to("a.example", policy::Direction::kIn)}},
                          {},
                          {},
                          {},
                          {}};
  for (std::uint64_t number = 1; number <= 9; ++number) {
    batch.messages.push_back(message_of(number, 1 + number % 3));
  }
  ASSERT_TRUE(stores(batch));
  using Numbers = std::vector<std::uint64_t>;
  const xmpp::Domain a = *xmpp::Domain::parse("a.example");
  const xmpp::Domain b = *xmpp::Domain::parse("b.example");
  struct Row {
    SpoolFilter filter;
    Numbers expected;
  } rows[] = {
      {{100, {}, {}}, range(1, 9)},
      {{4, {}, {}}, range(1, 4)},
      {{0, {}, {}}, {}},
      {{100, a, {}}, {2, 3, 5, 6, 8, 9}},
      {{3, a, {}}, {2, 3, 5}},
      {{100, b, {}}, {1, 4, 7}},
      {{100, {}, 5}, {5}},
      {{100, {}, 10}, {}},
      {{100, a, 5}, {5}},
      {{100, b, 5}, {}},
      {{100, *xmpp::Domain::parse("c.example"), {}}, {}},
  };
  for (const Row& row : rows) {
    const auto found = Spool::list(path_, row.filter);
    ASSERT_TRUE(found) << found.error().text;
    Numbers numbers;
    for (const SpooledMessage& message : *found) {
      numbers.push_back(message.number);
      const store::StoredMessage& stored = batch.messages[message.number - 1];
      EXPECT_EQ(message.flow, batch.flows[stored.flow - 1].flow);
      EXPECT_EQ(message.accepted, stored.accepted);
      EXPECT_EQ(message.xml, stored.xml);
    }
    EXPECT_EQ(numbers, row.expected);
  }
}

TEST_F(SpoolTest, a_list_works_while_batches_are_written_and_without_a_writer) {
  open();
  ASSERT_TRUE(stores(one_flow()));
  std::atomic<bool> stop = false;
  std::size_t lists = 0;
  std::thread reader([&] {
    for (std::size_t before = 0; !stop; ++lists) {
      const auto numbers = stored_numbers();
      EXPECT_EQ(numbers, range(1, numbers.size()));
      EXPECT_GE(numbers.size(), before);
      before = numbers.size();
    }
  });
  for (std::uint64_t i = 1; i <= 300; ++i) EXPECT_TRUE(stores(messages_of(i, i)));
  stop = true;
  reader.join();
  EXPECT_GT(lists, 0U);
  spool_.reset();
  EXPECT_EQ(stored_numbers(), range(1, 300));
  open();
}

}  // namespace
}  // namespace sallyport::net

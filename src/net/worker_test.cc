#include "net/worker.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace sallyport::net {
namespace {

using namespace std::chrono_literals;

// A loop that ends after so many results.
struct Loop {
  void run(std::size_t told) {
    const auto work = asio::make_work_guard(io);
    while (done.size() < told && io.run_one_for(10s) > 0) {
    }
  }
  asio::io_context io{1};
  std::vector<int> done;
};

TEST(Worker, work_is_done_elsewhere_and_told_on_the_loop_in_turn) {
  Loop loop;
  Worker worker;
  const auto here = std::this_thread::get_id();
  for (int i = 0; i < 3; ++i) {
    worker.run(
        loop.io.get_executor(), [i, here] { return std::this_thread::get_id() == here ? -1 : i; },
        [&, here](int number) {
          EXPECT_EQ(std::this_thread::get_id(), here);
          loop.done.push_back(number);
        });
  }
  loop.run(3);
  EXPECT_EQ(loop.done, (std::vector{0, 1, 2}));
}

TEST(Worker, the_loop_goes_on_meanwhile) {
  Loop loop;
  Worker worker;
  std::promise<void> asked;
  worker.run(
      loop.io.get_executor(), [answer = asked.get_future()]() mutable { return answer.get(), 1; },
      [&](int number) { loop.done.push_back(number); });
  asio::post(loop.io, [&] {
    loop.done.push_back(0);
    asked.set_value();
  });
  loop.run(2);
  EXPECT_EQ(loop.done, (std::vector{0, 1}));
}

TEST(Worker, what_is_discarded_is_freed_there) {
  Loop loop;
  Worker worker;
  std::thread::id freed_by;
  std::shared_ptr<const int> value(new int(1), [&](const int* number) {
    freed_by = std::this_thread::get_id();
    delete number;
  });
  worker.discard(std::move(value));
  worker.discard(nullptr);
  worker.run(
      loop.io.get_executor(), [] { return 1; }, [&](int number) { loop.done.push_back(number); });
  loop.run(1);
  EXPECT_NE(freed_by, std::thread::id());
  EXPECT_NE(freed_by, std::this_thread::get_id());
}

TEST(Worker, after_stop_nothing_is_done_any_more_and_what_waited_is_freed) {
  Loop loop;
  const auto value = std::make_shared<int>(1);
  {
    Worker worker;
    worker.stop();
    worker.run(
        loop.io.get_executor(), [value] { return 1; }, [&](int number) { loop.done.push_back(number); });
    worker.stop();
  }
  loop.io.poll();
  EXPECT_TRUE(loop.done.empty());
  EXPECT_EQ(value.use_count(), 1);
}

}  // namespace
}  // namespace sallyport::net

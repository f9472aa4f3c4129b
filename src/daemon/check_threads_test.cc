#include "daemon/check_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>

#include "base/limits.h"

namespace sallyport::daemon {
namespace {

using namespace std::chrono_literals;

class Beside : public testing::Test {
 protected:
  template <typename Is>
  bool run_until(Is is) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!is() && std::chrono::steady_clock::now() < end) {
      io_.restart();
      io_.run_one_for(10ms);
    }
    return is();
  }
  boost::asio::io_context io_{1};
};

TEST_F(Beside, the_loop_goes_on_and_the_reply_is_made_in_it) {
  CheckThreads checks(io_.get_executor());
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::optional<std::string> reply;
  std::thread::id replied_in;
  std::thread::id worked_in;
  checks.run(
      [&, released](std::stop_token) {
        worked_in = std::this_thread::get_id();
        released.wait();
        return std::string("{}");
      },
      [&](std::string text) {
        reply = std::move(text);
        replied_in = std::this_thread::get_id();
      });
  bool went_on = false;
  boost::asio::post(io_, [&] { went_on = true; });
  EXPECT_TRUE(run_until([&] { return went_on; }));
  EXPECT_FALSE(reply);
  EXPECT_EQ(checks.running(), 1U);
  release.set_value();
  EXPECT_TRUE(run_until([&] { return reply.has_value(); }));
  EXPECT_EQ(reply, "{}");
  EXPECT_EQ(replied_in, std::this_thread::get_id());
  EXPECT_NE(worked_in, replied_in);
  EXPECT_EQ(checks.running(), 0U);
}

TEST_F(Beside, one_check_too_many_is_refused_at_once_and_room_comes_back) {
  CheckThreads checks(io_.get_executor());
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::size_t replies = 0;
  const auto run = [&](Reply reply) {
    checks.run(
        [released](std::stop_token) {
          released.wait();
          return std::string("{}");
        },
        std::move(reply));
  };
  for (std::size_t i = 0; i < limits::kChecksMax; ++i) run([&](const std::string&) { ++replies; });
  std::string refused;
  run([&](std::string text) { refused = std::move(text); });
  EXPECT_NE(refused.find("control.refused"), std::string::npos);
  EXPECT_EQ(replies, 0U);
  release.set_value();
  EXPECT_TRUE(run_until([&] { return replies == limits::kChecksMax; }));
  bool again = false;
  run([&](const std::string& text) { again = text == "{}"; });
  EXPECT_TRUE(run_until([&] { return again; }));
}

TEST_F(Beside, an_exception_is_an_answer) {
  CheckThreads checks(io_.get_executor());
  std::optional<std::string> reply;
  checks.run([](std::stop_token) -> std::string { throw std::runtime_error("out of order"); },
             [&](std::string text) { reply = std::move(text); });
  EXPECT_TRUE(run_until([&] { return reply.has_value(); }));
  EXPECT_NE(reply->find("internal.error"), std::string::npos);
  EXPECT_NE(reply->find("out of order"), std::string::npos);
}

TEST_F(Beside, the_end_stops_what_runs_and_drops_its_reply) {
  bool replied = false;
  std::atomic<bool> stopped = false;
  {
    CheckThreads checks(io_.get_executor());
    checks.run(
        [&](std::stop_token stop) {
          while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
          stopped = true;
          return std::string("{}");
        },
        [&](const std::string&) { replied = true; });
  }
  EXPECT_TRUE(stopped);
  io_.restart();
  io_.run_for(20ms);
  EXPECT_FALSE(replied);
}

}  // namespace
}  // namespace sallyport::daemon

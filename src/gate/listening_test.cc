#include "gate/listening.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

struct Lines : LogSink {
  void log(LogEvent event) override { names.push_back(event.name); }
  std::vector<std::string> names;
};

const Error kTaken{Code::kNetAddressInUse, "listening on 192.0.2.1:5269: Address already in use"};

class ListeningTest : public testing::Test {
 protected:
  Lines log_;
  Listening listening_{log_};
  Now now_{Time(1h), UnixTime(1s)};
};

TEST_F(ListeningTest, is_open_when_the_driver_says_so_and_not_when_it_is_wanted) {
  listening_.want(true);
  EXPECT_FALSE(listening_.is_open());
  EXPECT_TRUE(log_.names.empty());
  listening_.handle({}, now_);
  EXPECT_TRUE(listening_.is_open());
  listening_.want(false);
  EXPECT_FALSE(listening_.is_open());
  EXPECT_EQ(log_.names, (std::vector<std::string>{"s2s.open", "s2s.closed"}));
}

TEST_F(ListeningTest, waits_twice_as_long_after_each_failure_up_to_the_limit) {
  listening_.want(true);
  Duration wait = limits::kListenRetryFirst;
  for (int attempt = 0; attempt < 8; ++attempt) {
    listening_.handle(kTaken, now_);
    ASSERT_TRUE(listening_.error());
    ASSERT_EQ(listening_.poll_timeout(), now_.mono + wait) << attempt;
    EXPECT_FALSE(listening_.handle_timeout(now_.mono + wait - 1us));
    now_.mono += wait;
    EXPECT_TRUE(listening_.handle_timeout(now_.mono));
    EXPECT_FALSE(listening_.handle_timeout(now_.mono)) << "one attempt for each wait";
    wait = std::min<Duration>(2 * wait, limits::kListenRetryMax);
  }
  EXPECT_EQ(wait, Duration(limits::kListenRetryMax));
  listening_.handle({}, now_);
  EXPECT_FALSE(listening_.error());
  EXPECT_FALSE(listening_.poll_timeout());
}

TEST_F(ListeningTest, forgets_a_failure_when_it_is_not_wanted_any_more) {
  listening_.want(true);
  listening_.handle(kTaken, now_);
  listening_.want(false);
  EXPECT_FALSE(listening_.error());
  EXPECT_FALSE(listening_.poll_timeout());
  // An answer that comes late changes nothing.
  listening_.handle({}, now_);
  EXPECT_FALSE(listening_.is_open());
  listening_.want(true);
  listening_.handle(kTaken, now_);
  EXPECT_EQ(listening_.poll_timeout(), now_.mono + limits::kListenRetryFirst);
}

}  // namespace
}  // namespace sallyport::gate

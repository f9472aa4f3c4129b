#include "gate/redial.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Next = Redial::Next;

dns::SocketAddress server(std::uint8_t last) { return {dns::Ip::v4({198, 51, 100, last}), 5269}; }

struct RedialTest : ::testing::Test {
  static constexpr Duration kPatience = 2min;
  Next dial_fails(Code code = Code::kDialRefused, bool waits = true) {
    return redial.handle_end({.error = Error{code, {}}, .patience = kPatience}, waits, now);
  }
  Next negotiation_fails(Code code, std::uint8_t at = 1) {
    return redial.handle_end({.connected = true, .peer = server(at), .error = Error{code, {}}}, true, now);
  }
  Next stream_ends(bool carried, std::optional<Error> error, bool waits) {
    return redial.handle_end(
        {.connected = true, .ready = true, .carried = carried, .error = std::move(error)}, waits, now);
  }

  Redial redial;
  Now now{Time{1h}, {}};
};

TEST_F(RedialTest, a_failed_dial_returns_what_waits) {
  EXPECT_EQ(dial_fails(), Next::kGiveUp);
  EXPECT_EQ(redial.reason().code, Code::kDialRefused);
}

// Without a policy there is no way to anybody; what is sent once there is one is not refused for want of it.
TEST_F(RedialTest, policy_is_asked_again_after_it_left_no_way_also_during_a_back_off) {
  dial_fails();
  dial_fails();
  EXPECT_FALSE(redial.may_dial(now));
  redial.note({Code::kPolicyDisabled, {}});
  EXPECT_TRUE(redial.may_dial(now));
  dial_fails();
  EXPECT_FALSE(redial.may_dial(now));
  negotiation_fails(Code::kPolicyDisabled);
  EXPECT_TRUE(redial.may_dial(now)) << "the policy went while the stream was being opened";
}

TEST_F(RedialTest, a_failed_dial_says_more_than_that_there_was_no_policy_before) {
  negotiation_fails(Code::kStreamLost);
  redial.note({Code::kPolicyDisabled, {}});
  dial_fails();
  EXPECT_EQ(redial.reason().code, Code::kDialRefused);
}

TEST_F(RedialTest, a_server_that_could_not_be_used_is_avoided_and_the_next_one_tried) {
  EXPECT_EQ(negotiation_fails(Code::kTlsUntrusted, 1), Next::kOpen);
  EXPECT_EQ(negotiation_fails(Code::kStreamLost, 2), Next::kOpen);
  EXPECT_EQ(redial.avoid(), (std::vector<dns::SocketAddress>{server(1), server(2)}));
}

TEST_F(RedialTest, when_no_server_is_left_the_failure_of_the_last_one_is_the_reason) {
  negotiation_fails(Code::kTlsUntrusted);
  EXPECT_EQ(dial_fails(Code::kDialNoRoute), Next::kGiveUp);
  EXPECT_EQ(redial.reason().code, Code::kTlsUntrusted);
  EXPECT_TRUE(redial.avoid().empty()) << "the next series of attempts begins anew";
}

TEST_F(RedialTest, attempts_are_bounded) {
  for (std::size_t i = 1; i < limits::kOpenAttemptsMax; ++i)
    EXPECT_EQ(negotiation_fails(Code::kStreamLost, static_cast<std::uint8_t>(i)), Next::kOpen) << i;
  EXPECT_EQ(negotiation_fails(Code::kStreamLost, 9), Next::kGiveUp);
}

TEST_F(RedialTest, a_refusal_that_another_server_would_repeat_is_final) {
  EXPECT_EQ(negotiation_fails(Code::kPolicyDenied), Next::kGiveUp);
}

TEST_F(RedialTest, where_our_certificate_is_refused_dialback_is_tried_once) {
  EXPECT_TRUE(redial.may_use_external());
  EXPECT_EQ(negotiation_fails(Code::kSaslRefused), Next::kOpen);
  EXPECT_FALSE(redial.may_use_external());
  EXPECT_EQ(negotiation_fails(Code::kSaslRefused), Next::kGiveUp);
}

TEST_F(RedialTest, a_stream_that_carried_something_is_replaced_at_once) {
  EXPECT_EQ(stream_ends(true, Error{Code::kStreamLost, {}}, true), Next::kOpen);
  EXPECT_EQ(stream_ends(true, std::nullopt, false), Next::kWait);
}

TEST_F(RedialTest, an_idle_stream_that_was_closed_is_not_an_error) {
  EXPECT_EQ(stream_ends(true, Error{Code::kStreamIdle, {}}, false), Next::kWait);
  EXPECT_EQ(redial.last_error(), std::nullopt);
}

TEST_F(RedialTest, failures_in_a_row_back_off_for_longer_each_time) {
  for (const Duration wait : limits::kDialBackoff) {
    dial_fails();
    if (wait > 0s) {
      EXPECT_FALSE(redial.may_dial({now.mono + wait - 1us, {}})) << wait.count();
    }
    EXPECT_TRUE(redial.may_dial({now.mono + wait, {}})) << wait.count();
  }
  dial_fails();
  EXPECT_FALSE(redial.may_dial({now.mono + *std::rbegin(limits::kDialBackoff) - 1us, {}}));
  redial.handle_ready(now);
  EXPECT_TRUE(redial.may_dial(now)) << "a stream became ready: nothing is remembered";
  dial_fails();
  EXPECT_TRUE(redial.may_dial(now)) << "and the first failure costs nothing again";
}

// --- a server that offers acknowledgements

TEST_F(RedialTest, a_server_that_gives_none_on_two_streams_is_not_asked_for_an_hour) {
  const auto silent = [&](std::optional<bool> acknowledged, Code code = Code::kStreamAckTimeout) {
    redial.handle_end({.connected = true,
                       .ready = true,
                       .carried = true,
                       .peer = {},
                       .acknowledged = acknowledged,
                       .error = Error{code, {}},
                       .patience = kPatience},
                      false, now);
    return redial.may_use_acknowledgements(now);
  };
  EXPECT_TRUE(silent(false));
  EXPECT_TRUE(silent(true)) << "it has given one";
  EXPECT_TRUE(silent(false));
  EXPECT_TRUE(silent(false, Code::kStreamLost)) << "it was not silent for long";
  EXPECT_TRUE(silent(std::nullopt)) << "it was not asked";
  EXPECT_FALSE(silent(false));
  now.mono += limits::kPingRetry - 1us;
  EXPECT_FALSE(redial.may_use_acknowledgements(now));
  now.mono += 1us;
  EXPECT_TRUE(redial.may_use_acknowledgements(now));
  EXPECT_TRUE(silent(false));
}

// --- a server that was there

TEST_F(RedialTest, a_server_that_was_ready_a_moment_ago_is_expected_back) {
  redial.handle_ready(now);
  now.mono += 1min;
  stream_ends(false, Error{Code::kStreamLost, {}}, false);
  EXPECT_EQ(dial_fails(), Next::kRetry);
  now.mono += kPatience - 1us;
  EXPECT_EQ(dial_fails(), Next::kRetry);
  now.mono += 1us;
  EXPECT_EQ(dial_fails(), Next::kGiveUp);
}

TEST_F(RedialTest, it_is_not_after_a_failure_that_is_final) {
  redial.handle_ready(now);
  stream_ends(false, Error{Code::kStreamLost, {}}, false);
  EXPECT_EQ(dial_fails(Code::kDnsNoName), Next::kGiveUp);
}

TEST_F(RedialTest, a_sign_of_life_ends_the_back_off_but_not_each_of_many) {
  for (int i = 0; i < 6; ++i) dial_fails();
  EXPECT_FALSE(redial.may_dial(now));
  redial.handle_sign_of_life(now);
  EXPECT_TRUE(redial.may_dial(now));
  dial_fails();
  now.mono += limits::kSignOfLifeEvery - 1us;
  redial.handle_sign_of_life(now);
  EXPECT_FALSE(redial.may_dial(now));
  now.mono += 1us;
  redial.handle_sign_of_life(now);
  EXPECT_TRUE(redial.may_dial(now));
}

}  // namespace
}  // namespace sallyport::gate

// A server that was there refuses a connection, as while it is started anew: what waits for it.
#include "gate/endpoint_fixture.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Tickets = std::vector<Ticket>;
using Told = std::vector<std::string>;

struct EndpointReturn : EndpointFixture {
  // A stanza has arrived, then the stream and its server have gone.
  void was_there() {
    sends(message("first"));
    accepts();
    reads();
    passes(limits::kDoubtDelay + limits::kDoubtTick);
    drain();
    ASSERT_EQ(delivered, Tickets{1});
    delivered.clear();
    loses_connection();
  }
  void refuses_dial(Code code = Code::kDialRefused) {
    for (const ConnId conn : dials()) endpoint.handle_dial_failed(conn, {code, "refused"}, now);
    drain();
  }
  // Lets time pass until the endpoint dials; how long that took.
  Duration waits_for_dial() {
    const Time since = now.mono;
    for (int i = 0; i < 10'000 && dials_.empty(); ++i) {
      passes(100ms);
      dials_ = dials();
    }
    dialled = std::exchange(dials_, {});
    return now.mono - since;
  }

  std::vector<ConnId> dials_;
};

TEST_F(EndpointReturn, messages_and_presence_wait_for_it_and_arrive_in_order) {
  was_there();
  sends(message("a"));
  sends(stanza_of(xmpp::StanzaKind::kPresence, {}, "b"));
  refuses_dial();
  sends(message("c"));
  EXPECT_EQ(told, Told{});
  waits_for_dial();
  refuses_dial();
  waits_for_dial();
  accepts();
  const std::string sent = reads();
  EXPECT_LT(sent.find("id='a'"), sent.find("id='b'"));
  EXPECT_LT(sent.find("id='b'"), sent.find("id='c'"));
  EXPECT_NE(sent.find("id='c'"), std::string::npos);
  EXPECT_EQ(told, Told{});
}

TEST_F(EndpointReturn, requests_are_answered_at_once) {
  was_there();
  sends(message("a"));
  sends(stanza_of(xmpp::StanzaKind::kIq, "get", "b"));
  refuses_dial();
  EXPECT_EQ(told, Told{"3 dial.refused"});
  sends(stanza_of(xmpp::StanzaKind::kIq, "set", "c"));
  drain();
  EXPECT_EQ(told, (Told{"3 dial.refused", "4 dial.refused"})) << "also between two dials";
}

TEST_F(EndpointReturn, what_the_durable_queue_keeps_goes_back_there) {
  was_there();
  endpoint.send(pair, message("a"), ++last_ticket, now, 7);
  refuses_dial();
  EXPECT_EQ(told, Told{"2 dial.refused"});
}

TEST_F(EndpointReturn, what_waited_for_the_whole_patience_is_returned_once) {
  policy.lifetime_memory = 3min;
  was_there();
  sends(message("a"));
  for (Duration passed{}; passed < policy.lifetime_memory - 1s; passed += 1s) {
    refuses_dial();
    passes(1s);
  }
  refuses_dial();
  EXPECT_EQ(told, Told{});
  for (int i = 0; i < 10; ++i) {
    passes(1s);
    refuses_dial();
  }
  EXPECT_EQ(told, Told{"2 dial.refused"});
  sends(message("b"));
  passes(20s);
  refuses_dial();
  EXPECT_EQ(told, (Told{"2 dial.refused", "3 dial.refused"})) << "it is not expected back any more";
}

TEST_F(EndpointReturn, it_is_dialled_again_within_a_few_seconds) {
  was_there();
  sends(message("a"));
  for (int i = 0; i < 8; ++i) {
    refuses_dial();
    EXPECT_LE(waits_for_dial(), limits::kDialBackoff[limits::kReturnBackoffStep] + 100ms) << i;
  }
}

TEST_F(EndpointReturn, a_server_that_was_never_there_is_not_waited_for) {
  sends(message("a"));
  refuses_dial();
  EXPECT_EQ(told, Told{"1 dial.refused"});
}

TEST_F(EndpointReturn, a_domain_that_does_not_exist_any_more_is_not_waited_for) {
  was_there();
  sends(message("a"));
  refuses_dial(Code::kDnsNoName);
  EXPECT_EQ(told, Told{"2 dns.no-name"});
}

TEST_F(EndpointReturn, closing_all_returns_what_waits_for_it) {
  was_there();
  sends(message("a"));
  refuses_dial();
  endpoint.close_all({Code::kStreamShutdown, {}}, now);
  drain();
  EXPECT_EQ(told, Told{"2 stream.shutdown"});
  passes(10s);
  EXPECT_EQ(dials(), std::vector<ConnId>{});
}

}  // namespace
}  // namespace sallyport::gate

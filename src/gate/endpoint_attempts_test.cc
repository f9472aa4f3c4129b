// Messages that are sent in attempts (gate/durable_queue.h): none overtakes one that was refused.
#include "gate/endpoint_fixture.h"
#include "gate/role_fixture.h"

namespace sallyport::gate {
namespace {

using Told = std::vector<std::string>;

struct EndpointAttempts : EndpointFixture {
  void tries(const std::string& id, Attempt attempt) {
    endpoint.send(pair, message(id), ++last_ticket, now, attempt);
    drain();
  }
};

TEST_F(EndpointAttempts,
       after_one_was_refused_later_ones_of_its_attempt_are_refused_though_they_could_be_sent) {
  tries("1", 1);
  endpoint.handle_dial_failed(dials().back(), {Code::kDialRefused, {}}, now);
  drain();
  EXPECT_EQ(told, Told{"1 dial.refused"});
  told.clear();
  tries("2", 1);
  EXPECT_EQ(told, Told{"2 dial.refused"}) << "it would overtake 1";
  told.clear();
  tries("1", 2);
  tries("2", 2);
  accepts();
  EXPECT_EQ(told, Told{});
  EXPECT_GT(reads().size(), 0u);
}

TEST_F(EndpointAttempts, those_that_wait_behind_one_that_expired_are_refused_with_it) {
  tries("1", 1);
  dials();
  passes(limits::kDeliveryTimeout / 2);
  tries("2", 1);
  sends(message("3"));
  passes(limits::kDeliveryTimeout / 2 + 1s);
  drain();
  EXPECT_EQ(told, (Told{"1 delivery.timeout", "2 delivery.timeout"})) << "and 3, which is of none, waits on";
}

TEST_F(EndpointAttempts, what_is_refused_for_good_refuses_no_other) {
  tries("1", 1);
  accepts("<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>");
  endpoint.send(pair, message("2", 20'000), ++last_ticket, now, 1);
  tries("3", 1);
  EXPECT_EQ(told, Told{"2 stanza.too-large-for-peer"});
}

TEST_F(EndpointAttempts, what_a_dead_stream_may_have_brought_waits_on_disk_as_what_it_has_not) {
  policy.confirm = policy::Confirm::kAuto;
  tries("1", 1);
  accepts("<sm xmlns='urn:xmpp:sm:3'/>");
  says("<enabled xmlns='urn:xmpp:sm:3'/>");
  reads();
  dials();
  loses_connection();
  endpoint.handle_dial_failed(dials().back(), {Code::kDialRefused, {}}, now);
  drain();
  EXPECT_EQ(told, Told{"1 dial.refused"});
}

}  // namespace
}  // namespace sallyport::gate

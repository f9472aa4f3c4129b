// Two endpoints, one of which sends to the other over connections that break: what the receiver's role gets.
#include "gate/endpoint_fixture.h"
#include "gate/role_fixture.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

struct EndpointResume : ::testing::Test {
  EndpointResume() { policy.confirm = policy::Confirm::kAuto; }

  // --- the sender's role
  void sends(xmpp::Stanza stanza) {
    sender.send(pair, std::move(stanza), ++last_ticket, now);
    carry();
  }
  void sends(const std::string& id) {
    sends(stanza_of("<message from='a@example.com' to='b@far.example' id='" + id +
                    "'><body>x</body></message>"));
  }
  void requests(const std::string& id) {
    sends(stanza_of("<iq from='a@example.com' to='b@far.example' id='" + id +
                    "' type='get'><q xmlns='x'/></iq>"));
  }
  void passes(Duration time) {
    for (const Time end = now.mono + time; now.mono < end;) {
      now.mono = std::min<Time>(end, now.mono + 100ms);
      sender.handle_timeout(now);
      receiver.handle_timeout(now);
      carry();
    }
  }

  // --- the receiver's role
  void acknowledges() {
    acknowledges_at_once = true;
    for (const StreamReceipt& receipt : std::exchange(owed, {})) receiver.acknowledge(receipt, now);
    carry();
  }

  // Stops, or goes on, reading.
  void holds(bool on) {
    receiver.hold(net.cable->to, on);
    carry();
  }

  // --- the network
  struct Cable {
    ConnId from;
    ConnId to;
    std::uint64_t taken_of_sender = 0;
    std::uint64_t taken_of_receiver = 0;
    bool held = false;     // the receiver does not read
    std::string unread{};  // for it
  };
  // What the sender's last dial leads to.
  void connect(ConnId conn) {
    if (!net.is_reachable) return (void)sender.handle_dial_failed(conn, {Code::kDialRefused, {}}, now);
    net.cable = Cable{conn, ids.next()};
    receiver.handle_accepted(net.cable->to, {address("198.51.100.7"), {}, true}, now);
    sender.handle_connected(conn, {{}, true, "test"}, now);
    auto theirs = certificate({"far.example"});
    theirs.own_certificate = "example.com";
    sender.handle_tls(conn, std::move(theirs), now);
    auto ours = certificate({"example.com"}, "far.example");
    ours.own_certificate = "far.example";
    receiver.handle_tls(net.cable->to, std::move(ours), now);
  }
  static bool flush(Endpoint& from, ConnId conn, std::uint64_t& taken, std::string& bytes, Now now) {
    std::string some;
    while (from.take_output(conn, some)) bytes += std::exchange(some, {});
    if (bytes.empty()) return false;
    taken += bytes.size();
    from.handle_written(conn, taken, now);
    return true;
  }
  // Carries so many bytes at most to the receiver, and then the connection is gone for the sender, and for
  // the receiver where it `knows`.
  void breaks_after(std::size_t bytes, bool knows = true) {
    net.left = bytes;
    carry();
    if (!net.cable) return;
    const Cable broken = *std::exchange(net.cable, std::nullopt);
    net.left.reset();
    if (knows) receiver.handle_disconnected(broken.to, {Code::kStreamLost, {}}, now);
    sender.handle_disconnected(broken.from, {Code::kStreamLost, {}}, now);
  }
  void carry() {
    for (bool any = true; any;) {
      any = false;
      for (; auto output = sender.poll(); any = true) note_of_sender(*output);
      for (; auto output = receiver.poll(); any = true) note_of_receiver(*output);
      if (!net.cable) continue;
      std::string there, back;
      if (flush(sender, net.cable->from, net.cable->taken_of_sender, there, now)) {
        any = true;
        if (net.left) there.resize(std::min(there.size(), *net.left)), *net.left -= there.size();
        net.cable->unread += there;
      }
      if (!net.cable->held && !net.cable->unread.empty()) {
        any = true;
        receiver.handle_bytes(net.cable->to, std::exchange(net.cable->unread, {}), now);
      }
      // A connection that is about to break brings nothing back.
      if (flush(receiver, net.cable->to, net.cable->taken_of_receiver, back, now) && !net.left) {
        any = true;
        sender.handle_bytes(net.cable->from, back, now);
      }
    }
  }
  void note_of_sender(const EndpointOutput& output) {
    if (const auto* handed = std::get_if<StanzaDelivered>(&output)) heard.delivered.push_back(handed->ticket);
    if (const auto* failed = std::get_if<StanzaReturned>(&output))
      heard.told.push_back(std::string(failed->stanza.id()) + " " +
                           std::string(code_row(failed->error.code).name));
    if (const auto* pass = std::get_if<Output>(&output))
      if (const auto* dial = std::get_if<Dial>(pass)) connect(dial->conn);
  }
  void note_of_receiver(const EndpointOutput& output) {
    if (const auto* pass = std::get_if<Output>(&output))
      if (const auto* hold = std::get_if<Hold>(pass); hold && net.cable) net.cable->held = hold->on;
    const auto* came = std::get_if<On<s2s::StanzaReceived>>(&output);
    if (came == nullptr) return;
    received.emplace_back(came->event.stanza.id());
    const StreamReceipt receipt{came->conn, *came->event.number};
    acknowledges_at_once ? receiver.acknowledge(receipt, now) : owed.push_back(receipt);
  }

  OpenPolicy policy;
  ConnIds ids;
  Endpoint sender{{"world", policy, ids, policy, policy}};
  Endpoint receiver{{"world", policy, ids, policy, policy}};
  Now now{Time{1h}, {}};
  const Pair pair{*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse("far.example")};
  Ticket last_ticket = 0;
  struct Network {
    std::optional<Cable> cable{};
    std::optional<std::size_t> left{};  // bytes until it breaks
    bool is_reachable = true;
  } net;
  bool acknowledges_at_once = true;
  std::vector<StreamReceipt> owed;
  Ids received;
  struct Heard {
    std::vector<Ticket> delivered{};
    Ids told{};
  } heard;
};

TEST_F(EndpointResume, what_had_arrived_is_not_sent_again) {
  sends("1");
  acknowledges_at_once = false;
  sends("2");
  breaks_after(0);
  acknowledges();
  EXPECT_EQ(received, (Ids{"1", "2"}));
  EXPECT_EQ(heard.delivered, (std::vector<Ticket>{1, 2}));
  EXPECT_EQ(sender.counters().sent_again, 0u);
  EXPECT_EQ(sender.counters().uncertain, 0u);
}

TEST_F(EndpointResume, what_had_not_is_sent_and_requests_are_too) {
  sends("1");
  net.left = 0;
  sends("2");
  requests("3");
  sends("4");
  breaks_after(0);
  carry();
  EXPECT_EQ(received, (Ids{"1", "2", "3", "4"}));
  EXPECT_EQ(heard.told, Ids{});
  EXPECT_EQ(heard.delivered.size(), 4u);
}

TEST_F(EndpointResume, a_receiver_that_does_not_read_for_a_while_does_not_count_as_dead) {
  sends("1");
  const ConnId first = net.cable->from;
  holds(true);
  sends("2");
  passes(limits::kStreamIdleTimeout + 1min);
  EXPECT_EQ(received, (Ids{"1"}));
  EXPECT_EQ(heard.delivered, (std::vector<Ticket>{1}));
  holds(false);
  EXPECT_EQ(received, (Ids{"1", "2"}));
  EXPECT_EQ(heard.delivered, (std::vector<Ticket>{1, 2}));
  EXPECT_EQ(net.cable->from, first) << "on the same connection";
  EXPECT_EQ(sender.counters().sent_again, 0u);
}

TEST_F(EndpointResume,
       a_receiver_that_does_not_know_yet_that_the_connection_is_gone_goes_on_with_the_new_one) {
  sends("1");
  acknowledges_at_once = false;
  sends("2");
  breaks_after(0, false);
  carry();
  acknowledges();
  EXPECT_EQ(received, (Ids{"1", "2"}));
  EXPECT_EQ(heard.delivered, (std::vector<Ticket>{1, 2}));
  sends("3");
  EXPECT_EQ(received, (Ids{"1", "2", "3"}));
}

TEST_F(EndpointResume, the_sender_waits_until_the_receiver_has_taken_care_of_what_came) {
  sends("1");
  acknowledges_at_once = false;
  sends("2");
  breaks_after(0);
  carry();
  sends("3");
  EXPECT_EQ(received, (Ids{"1", "2"}));
  passes(limits::kResumeAnswerDelay / 2);
  EXPECT_EQ(received, (Ids{"1", "2"}));
  acknowledges();
  EXPECT_EQ(received, (Ids{"1", "2", "3"}));
}

TEST_F(EndpointResume, what_takes_too_long_there_comes_twice_and_is_counted) {
  sends("1");
  acknowledges_at_once = false;
  sends("2");
  breaks_after(0);
  carry();
  passes(limits::kResumeAnswerDelay);
  EXPECT_EQ(received, (Ids{"1", "2", "2"}));
  EXPECT_EQ(sender.counters().sent_again, 1u);
}

TEST_F(EndpointResume, a_server_that_is_away_for_a_while_is_resumed_when_it_is_back) {
  sends("1");
  acknowledges_at_once = false;
  sends("2");
  net.is_reachable = false;
  breaks_after(0);
  carry();
  acknowledges();
  sends("3");
  passes(20s);
  net.is_reachable = true;
  passes(limits::kDialBackoff[limits::kReturnBackoffStep]);
  EXPECT_EQ(received, (Ids{"1", "2", "3"}));
  EXPECT_EQ(heard.told, Ids{});
}

TEST_F(EndpointResume, a_request_in_doubt_is_answered_when_the_server_cannot_be_asked) {
  sends("1");
  net.left = 0;
  requests("2");
  net.is_reachable = false;
  breaks_after(0);
  carry();
  EXPECT_EQ(heard.told, Ids{"2 delivery.uncertain"});
}

TEST_F(EndpointResume, after_its_time_the_session_is_over) {
  sends("1");
  acknowledges_at_once = false;
  sends("2");
  net.is_reachable = false;
  breaks_after(0);
  passes(limits::kResumeTime + 1s);
  net.is_reachable = true;
  acknowledges();
  passes(limits::kDialBackoff[limits::kReturnBackoffStep]);
  EXPECT_EQ(received, (Ids{"1", "2", "2"}));
  EXPECT_EQ(sender.counters().sent_again, 1u);
}

TEST_F(EndpointResume, somebody_else_cannot_resume_it) {
  sends("1");
  breaks_after(0);
  const ConnId conn = ids.next();
  receiver.handle_accepted(conn, {address("198.51.100.9"), {}, true}, now);
  auto facts = certificate({"other.example"}, "far.example");
  facts.own_certificate = "far.example";
  receiver.handle_tls(conn, std::move(facts), now);
  const auto greet = header("other.example", "far.example");
  for (const auto& bytes : {greet,
                            std::string("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' "
                                        "mechanism='EXTERNAL'>=</auth>"),
                            greet})
    receiver.handle_bytes(conn, bytes, now);
  std::string said;
  receiver.take_output(conn, said);
  ASSERT_NE(said.find("<sm "), std::string::npos) << said;
  // The id that the receiver gave to example.com: the only one there is.
  OpenPolicy same;
  for (int fill = 0; fill < 256; ++fill) {
    receiver.handle_bytes(
        conn, "<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + same.hex(limits::kResumeIdBytes) + "'/>", now);
    said.clear();
    receiver.take_output(conn, said);
    EXPECT_EQ(said.find("<resumed"), std::string::npos) << said;
    EXPECT_NE(said.find("item-not-found"), std::string::npos) << said;
  }
}

// Wherever the connection breaks, again and again, each message arrives once, and in order.
TEST_F(EndpointResume, each_message_arrives_once_wherever_connections_break) {
  std::size_t number = 0;
  for (std::size_t at = 0; at < 1'500; at += 7) {
    for (int i = 0; i < 3; ++i) sends(std::to_string(++number));
    net.left = at;
    for (int i = 0; i < 3; ++i) sends(std::to_string(++number));
    breaks_after(0, at % 2 == 0);
    passes(1s);
  }
  Ids expected;
  for (std::size_t i = 1; i <= number; ++i) expected.push_back(std::to_string(i));
  EXPECT_EQ(received, expected);
  EXPECT_EQ(heard.told, Ids{});
  EXPECT_EQ(heard.delivered.size(), number);
  EXPECT_EQ(sender.counters().sent_again, 0u);
}

}  // namespace
}  // namespace sallyport::gate

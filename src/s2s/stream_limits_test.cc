// XEP-0478 on streams that we open: what is read from a peer's features, and what follows from it.
#include "s2s/stream_limits.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "s2s/outbound_dialogue.h"

namespace sallyport::s2s {
namespace {

using namespace dialogue;
using namespace dialogue::initiating;
using namespace std::chrono_literals;

std::string limits(const std::string& inside) {
  return "<limits xmlns='urn:xmpp:stream-limits:0'>" + inside + "</limits>";
}
std::string bytes(const std::string& text) { return "<max-bytes>" + text + "</max-bytes>"; }
std::string seconds(const std::string& text) { return "<idle-seconds>" + text + "</idle-seconds>"; }

// Ready by EXTERNAL, or by dialback, with `said` in the last features.
void external_with(Lone& lone, const std::string& before, const std::string& after) {
  lone.go(until_secure() + Steps{says(header(2) + features(kOffersExternal + kOffersDialback + before)),
                                 says(kSuccess), says(header(3) + features(kOffersDialback + after))});
}
void dialback_with(Lone& lone, const std::string& said) {
  lone.go(until_secure() + Steps{says(header(2) + features(kOffersDialback + said)),
                                 keyed(kPair, "s2", std::string("k")), says(result("valid"))});
}

xmpp::Stanza stanza_of(std::size_t size) {
  std::string xml = "<message from='a@local.example' to='b@remote.example'><body></body></message>";
  xml.insert(xml.find("</body>"), size - xml.size(), 'x');
  return {xmpp::StanzaKind::kMessage,
          *xmpp::Jid::parse("a@local.example"),
          *xmpp::Jid::parse("b@remote.example"),
          "",
          "",
          {},
          xml};
}

TEST(StreamLimits, numbers_are_read_and_what_is_none_is_no_limit) {
  const struct {
    const char* name;
    std::string said;
    StreamLimits limits;
  } cases[] = {
      {"none", "", {}},
      {"both", limits(bytes("10000") + seconds("1800")), {10'000, 1800s}},
      {"one", limits(bytes("262144")), {262'144, {}}},
      {"the other", limits(seconds("840")), {{}, 840s}},
      {"white space", limits(bytes("\n 10000 \t")), {10'000, {}}},
      {"the most digits", limits(bytes("999999999")), {999'999'999, {}}},
      {"a digit more", limits(bytes("1000000000") + seconds("60")), {{}, 60s}},
      {"more than any number", limits(bytes(std::string(200, '9'))), {}},
      {"zero", limits(bytes("0") + seconds("0")), {}},
      {"negative", limits(bytes("-10000") + seconds("-1")), {}},
      {"a sign", limits(bytes("+10000")), {}},
      {"hexadecimal", limits(bytes("0x4000")), {}},
      {"a fraction", limits(bytes("10000.5")), {}},
      {"empty", limits(bytes("") + seconds(" ")), {}},
      {"two numbers", limits(bytes("10000 20000")), {}},
      {"an element inside", limits("<max-bytes>10000<x xmlns='urn:x'/></max-bytes>"), {}},
      {"another namespace", "<limits xmlns='urn:xmpp:stream-limits:1'>" + bytes("10000") + "</limits>", {}},
      {"ours", limits_feature_xml(), {limits::kStanzaBytesMax, limits::kStreamIdleTimeout}},
  };
  for (const auto& c : cases) {
    Lone lone;
    external_with(lone, "", c.said);
    EXPECT_EQ(lone.trial->machine().peer_limits(), c.limits) << c.name;
  }
}

TEST(StreamLimits, the_last_features_count) {
  Lone authenticated;
  external_with(authenticated, limits(bytes("10000")), limits(bytes("262144")));
  EXPECT_EQ(authenticated.trial->machine().peer_limits().max_bytes, 262'144u);
  Lone lifted;
  external_with(lifted, limits(bytes("10000")), "");
  EXPECT_EQ(lifted.trial->machine().peer_limits().max_bytes, std::nullopt);
  // No features follow on dialback.
  Lone dialled_back;
  dialback_with(dialled_back, limits(bytes("10000")));
  EXPECT_EQ(dialled_back.trial->machine().peer_limits().max_bytes, 10'000u);
  Lone changed;
  external_with(changed, "", limits(bytes("10000")));
  changed.trial->bytes(features(limits(bytes("20000"))));
  EXPECT_EQ(changed.trial->machine().peer_limits().max_bytes, 20'000u);
}

TEST(StreamLimits, a_stanza_is_taken_up_to_the_limit_and_not_one_byte_above) {
  for (const std::size_t limit : {std::size_t{200}, std::size_t{10'000}}) {
    Lone lone;
    external_with(lone, "", limits(bytes(std::to_string(limit))));
    EXPECT_TRUE(lone.trial->machine().takes(stanza_of(limit))) << limit;
    EXPECT_FALSE(lone.trial->machine().takes(stanza_of(limit + 1))) << limit;
  }
  Lone unlimited;
  external_with(unlimited, "", "");
  EXPECT_TRUE(unlimited.trial->machine().takes(stanza_of(limits::kStanzaBytesMax)));
}

TEST(StreamLimits, an_idle_stream_ends_before_the_peer_may_end_it) {
  const struct {
    std::optional<Duration> said;
    Duration timeout;
  } cases[] = {
      {std::nullopt, limits::kStreamIdleTimeout},
      {1h, limits::kStreamIdleTimeout},
      {300s, 295s},
      {20s, 15s},
      {4s, 3s},
      {1s, 750ms},
  };
  for (const auto& c : cases)
    EXPECT_EQ(idle_timeout(StreamLimits{std::nullopt, c.said}), c.timeout) << c.timeout.count();
}

TEST(StreamLimits, only_what_we_send_keeps_a_stream_from_being_idle_for_the_peer) {
  Lone lone;
  external_with(lone, "", limits(seconds("60")));
  Outbound& out = lone.trial->machine();
  const Time ready = lone.trial->now();
  const auto proof = out.proofs().front();
  ASSERT_TRUE(out.send(proof, stanza_of(200), ready + 50s));
  out.handle_bytes(" ", ready + 90s);
  out.handle_timeout(ready + 104s);
  EXPECT_EQ(out.phase(), Phase::kReady);
  out.handle_timeout(ready + 105s);
  EXPECT_EQ(out.phase(), Phase::kClosing);
}

TEST(StreamLimits, a_stream_on_which_the_peer_owes_an_answer_is_not_idle) {
  Lone lone;
  lone.go(until_secure() + Steps{says(header(2) + features(kOffersDialback + limits(seconds("4")))),
                                 keyed(kPair, "s2", std::string("k"))});
  Outbound& out = lone.trial->machine();
  const Time asked_at = lone.trial->now();
  out.handle_timeout(asked_at + 5s);
  EXPECT_EQ(out.phase(), Phase::kReady);
  out.handle_bytes(result("valid"), asked_at + 6s);
  EXPECT_EQ(out.proofs().size(), 1u);
}

}  // namespace
}  // namespace sallyport::s2s

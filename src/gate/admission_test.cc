// An edge asks its core about pairs that no rule names. An internal name is refused in every privacy mode.
#include <gtest/gtest.h>

#include "gate/edge_fixture.h"
#include "gate/joined_fixture.h"

namespace sallyport::gate::joined {
namespace {

bool stands_in(std::string_view words, const std::string& text) { return text.find(words) != text.npos; }
std::size_t count(std::string_view words, const std::string& text) {
  std::size_t n = 0;
  for (auto at = text.find(words); at != text.npos; at = text.find(words, at + 1)) ++n;
  return n;
}

constexpr policy::Privacy kModes[] = {policy::Privacy::kAllowList, policy::Privacy::kDenyList,
                                      policy::Privacy::kOff};

// The name as the peer writes it, and the code with which it is refused.
struct Claim {
  std::string name;
  std::string ascii;
  std::string code;
};
const Claim kClaims[] = {
    {"corp.example", "corp.example", "policy.inside-name"},
    {"im.corp.example", "im.corp.example", "policy.inside-name"},
    {"CORP.Example", "corp.example", "policy.inside-name"},
    {"corp.example.", "corp.example", "policy.inside-name"},
    {"b\u00fccher.example", "xn--bcher-kva.example", "policy.inside-name"},
    {"xn--bcher-kva.example", "xn--bcher-kva.example", "policy.inside-name"},
    {"B\u00dcCHER.example", "xn--bcher-kva.example", "policy.inside-name"},
    {"node-2.hidden.example", "node-2.hidden.example", "policy.inside-name"},
    {"core.hidden.example", "core.hidden.example", "policy.inside-name"},
    {"vcse.example.net", "vcse.example.net", "policy.inside-name"},
    {"example.com", "example.com", "policy.inside-name"},
    {"rooms.example.com", "rooms.example.com", "policy.inside-name"},
    {"below.example.com", "below.example.com", "policy.below-local"},
    {"far.below.rooms.example.com", "far.below.rooms.example.com", "policy.below-local"},
};

// Each way in which a peer may claim a name. Returns what the edge answered.
struct Way {
  std::string_view name;
  std::function<std::string(Gateway&, ConnId, const Claim&)> claim;
  bool direct_tls = false;
};
const Way kWays[] = {
    {"the header's from, with a certificate for it, and auth",
     [](Gateway& gateway, ConnId conn, const Claim& claim) {
       const auto features = gateway.remote.opens(conn, claim.name, "example.com", {claim.ascii});
       EXPECT_FALSE(stands_in("EXTERNAL", features)) << claim.name;
       return gateway.remote.says(conn, kAuth) +
              gateway.remote.says(conn, db_result(claim.name, "example.com"));
     }},
    {"the header's from, and dialback",
     [](Gateway& gateway, ConnId conn, const Claim& claim) {
       gateway.remote.opens(conn, claim.name, "example.com", {});
       return gateway.remote.says(conn, db_result(claim.name, "example.com"));
     }},
    {"dialback that a certificate would prove, behind another name",
     [](Gateway& gateway, ConnId conn, const Claim& claim) {
       gateway.remote.opens(conn, "partner.example", "example.com", {claim.ascii});
       return gateway.remote.says(conn, db_result(claim.name, "example.com"));
     }},
    {"dialback on a stream that is proved for another name",
     [](Gateway& gateway, ConnId conn, const Claim& claim) {
       gateway.remote.opens(conn, "partner.example", "example.com", {"partner.example", claim.ascii});
       gateway.remote.says(conn, kAuth);
       gateway.remote.says(conn, header("partner.example", "example.com"));
       return gateway.remote.says(conn, db_result(claim.name, "example.com"));
     }},
    {"dialback without any name in the header",
     [](Gateway& gateway, ConnId conn, const Claim& claim) {
       gateway.remote.says(conn, header("", "example.com"));
       gateway.remote.says(conn, kStartTls);
       gateway.remote.secures(conn, certificate({claim.ascii}));
       gateway.remote.says(conn, header("", "example.com"));
       return gateway.remote.says(conn, db_result(claim.name, "example.com"));
     }},
    {"direct TLS",
     [](Gateway& gateway, ConnId conn, const Claim& claim) {
       gateway.remote.secures(conn, certificate({claim.ascii}, "example.com"));
       const auto features = gateway.remote.says(conn, header(claim.name, "example.com"));
       EXPECT_FALSE(stands_in("EXTERNAL", features)) << claim.name;
       return gateway.remote.says(conn, db_result(claim.name, "example.com"));
     },
     true},
};

TEST(Admission, an_internal_name_is_refused_while_negotiating_in_every_mode_and_on_every_way) {
  for (const auto mode : kModes) {
    for (const auto& claim : kClaims) {
      for (const auto& way : kWays) {
        Gateway gateway(core_config(), open_policy(mode));
        const std::string where =
            claim.name + ", " + std::string(way.name) + ", mode " + std::to_string(static_cast<int>(mode));
        const ConnId conn = gateway.remote.connects(address("198.51.100.7"), way.direct_tls);
        const std::string said = way.claim(gateway, conn, claim);
        EXPECT_FALSE(stands_in("<success", said)) << where;
        EXPECT_FALSE(stands_in("'valid'", said)) << where;
        EXPECT_TRUE(stands_in("error", said) || stands_in("<failure", said)) << where << ": " << said;
        const bool logged = gateway.edge_log.has({"pair.refused", "remote=" + claim.ascii, claim.code}) ||
                            gateway.edge_log.has({"stream.end", claim.code});
        EXPECT_TRUE(logged) << where;
        EXPECT_FALSE(gateway.edge_log.has({"pair.proved", "remote=" + claim.ascii})) << where;
        gateway.passes(limits::kDialbackTimeout);
        EXPECT_TRUE(gateway.public_dials.empty()) << where;
        EXPECT_TRUE(gateway.internal.dials.empty()) << where;
        EXPECT_FALSE(gateway.core_log.has({"pair.proved"})) << where;
      }
    }
  }
}

TEST(Admission, an_authorization_identity_gives_no_other_name) {
  Gateway gateway;
  const ConnId conn = gateway.remote.connects();
  gateway.remote.opens(conn, "partner.example", "example.com", {"partner.example", "corp.example"});
  const auto said = gateway.remote.says(conn,
                                        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>"
                                        "Y29ycC5leGFtcGxl</auth>");  // corp.example
  EXPECT_TRUE(stands_in("<invalid-authzid/>", said)) << said;
}

TEST(Admission, a_name_that_is_not_internal_is_admitted_after_one_question_in_every_mode) {
  for (const auto mode : kModes) {
    Gateway gateway(core_config(), open_policy(mode));
    gateway.link.said_by_edge.clear();
    for (int i = 0; i < 3; ++i) gateway.remote.proves("other.example", "example.com");
    EXPECT_EQ(count("other.example", gateway.link.said_by_edge), 1u) << static_cast<int>(mode);
    EXPECT_TRUE(gateway.public_dials.empty());
  }
}

TEST(Admission, a_name_in_an_exact_row_needs_no_question) {
  Gateway gateway;
  gateway.link.said_by_edge.clear();
  gateway.remote.proves("partner.example", "example.com");
  EXPECT_TRUE(gateway.link.said_by_edge.empty());
}

TEST(Admission, dialback_is_verified_once_the_core_has_admitted_the_pair) {
  Gateway gateway;
  const ConnId conn = gateway.remote.connects();
  gateway.remote.opens(conn, "dns.example", "example.com", {});
  EXPECT_TRUE(gateway.public_dials.empty());
  gateway.remote.says(conn, db_result("dns.example", "example.com"));
  ASSERT_EQ(gateway.public_dials.size(), 1u);
  EXPECT_EQ(gateway.public_dials[0].plan.dns, domain("dns.example"));
}

// Both come within one chunk, so that the stream has ended when the question would be asked.
TEST(Admission, of_a_stream_that_ends_with_its_claim_nothing_is_asked) {
  Gateway gateway;
  const ConnId conn = gateway.remote.connects();
  gateway.remote.opens(conn, "dns.example", "example.com", {});
  gateway.link.said_by_edge.clear();
  const auto said = gateway.remote.says(conn, db_result("ended.example", "example.com") + "</stream:stream>");
  EXPECT_TRUE(stands_in("</stream:stream>", said)) << said;
  EXPECT_EQ(count("ended.example", gateway.link.said_by_edge), 0u);
  EXPECT_TRUE(gateway.public_dials.empty());
}

TEST(Admission, a_refusal_is_remembered_too) {
  Gateway gateway;
  gateway.link.said_by_edge.clear();
  for (int i = 0; i < 3; ++i) {
    const ConnId conn = gateway.remote.connects();
    gateway.remote.opens(conn, "x.corp.example", "example.com", {"x.corp.example"});
    gateway.remote.says(conn, db_result("x.corp.example", "example.com"));
  }
  EXPECT_EQ(count("x.corp.example", gateway.link.said_by_edge), 1u);
}

TEST(Admission, a_new_policy_asks_again_and_ends_a_proved_pair_whose_name_is_internal_now) {
  Gateway gateway;
  const ConnId kept = gateway.remote.proves("kept.example", "example.com");
  gateway.remote.proves("turned.example", "example.com");
  config::PolicyUpdate update = open_policy(policy::Privacy::kOff);
  update.generation = 2;
  update.policy.served.push_back({.name = domain("rooms-2.example.com"),
                                  .internal_name = domain("turned.example"),
                                  .servers = {host("10.9.8.7:5269")},
                                  .is_alias = true});
  update.policy.rules.local.push_back({domain("rooms-2.example.com"), true});
  gateway.link.said_by_edge.clear();
  gateway.apply(std::move(update));
  EXPECT_TRUE(gateway.edge_log.has({"policy.applied", "generation=2"}));
  EXPECT_EQ(count("kept.example", gateway.link.said_by_edge), 1u);
  EXPECT_EQ(count("turned.example", gateway.link.said_by_edge), 1u);
  EXPECT_TRUE(gateway.edge_log.has({"pair.refused", "turned.example", "policy.inside-name"}));
  EXPECT_FALSE(gateway.edge_log.has({"pair.refused", "kept.example"}));
  EXPECT_TRUE(gateway.edge->is_proved(kept));
}

// --- a core whose answers are chosen by the test

class ScriptedCore : public EdgeFixture {
 protected:
  void start(std::uint16_t version) {
    starts();
    core_ = core("core", version);
    link_comes_up();
    config::Push policy = push(1, {});
    policy.rules.privacy = policy::Privacy::kOff;
    core_pushes(policy);
  }
  ConnId connects(std::string_view ip = "198.51.100.7") { return remote_.connects(address(ip)); }
  // Up to the features after TLS.
  std::string opens(ConnId conn) {
    return remote_.opens(conn, "other.example", "example.com", {"other.example"});
  }
  std::string says(ConnId conn, std::string_view bytes) { return remote_.says(conn, bytes); }
};

TEST_F(ScriptedCore, of_version_1_is_not_asked) {
  start(1);
  const ConnId conn = connects();
  EXPECT_TRUE(stands_in("EXTERNAL", opens(conn)));
  EXPECT_TRUE(stands_in("<success", says(conn, kAuth)));
  EXPECT_TRUE(core_.asked.empty());
}

TEST_F(ScriptedCore, is_asked_once_for_many_streams_and_the_features_wait) {
  start(2);
  std::vector<ConnId> conns;
  for (int i = 0; i < 10; ++i) {
    conns.push_back(connects());
    const auto written = opens(conns.back());
    EXPECT_FALSE(stands_in("features", written)) << written;
  }
  ASSERT_EQ(core_.asked.size(), 1u);
  core_answers(0, link::Answer(std::string("anything")));
  for (const ConnId conn : conns) {
    EXPECT_TRUE(stands_in("EXTERNAL", remote_.hears(conn)));
    EXPECT_TRUE(stands_in("<success", says(conn, kAuth)));
  }
  EXPECT_EQ(core_.asked.size(), 1u);
}

TEST_F(ScriptedCore, whose_answer_makes_no_sense_refuses_for_a_while_and_ends_nothing) {
  start(2);
  const ConnId conn = connects();
  opens(conn);
  ASSERT_EQ(core_.asked.size(), 1u);
  core_answers(0, Error{Code::kInternal, "?"});
  // The pair was not refused: EXTERNAL is offered, and `auth` asks again.
  EXPECT_TRUE(stands_in("EXTERNAL", remote_.hears(conn)));
  says(conn, kAuth);
  ASSERT_EQ(core_.asked.size(), 2u);
  EXPECT_EQ(remote_.hears(conn), "");
  core_answers(1, Error{Code::kControlRefused, "?"});
  EXPECT_TRUE(stands_in("<temporary-auth-failure/>", remote_.hears(conn))) << remote_.hears(conn);
  says(conn, db_result("other.example", "example.com"));
  ASSERT_EQ(core_.asked.size(), 3u);
  core_answers(2, link::Answer(std::string()));
  EXPECT_TRUE(stands_in("type='valid'", remote_.hears(conn))) << remote_.hears(conn);
}

TEST_F(ScriptedCore, that_never_answers_leaves_the_stream_to_its_timeout_and_is_asked_again_later) {
  start(2);
  const ConnId conn = connects();
  opens(conn);
  passes(limits::kDialbackTimeout + 1s);
  // The question has expired, so the edge offers EXTERNAL and asks again.
  EXPECT_TRUE(stands_in("EXTERNAL", remote_.hears(conn)));
  opens(connects());
  EXPECT_EQ(core_.asked.size(), 2u);
  passes(limits::kNegotiationTimeout);
  EXPECT_EQ(dialled(), Lines{});
  EXPECT_FALSE(log_.has({"pair.proved"}));
}

TEST_F(ScriptedCore, whose_link_goes_down_while_it_is_asked_refuses_for_a_while) {
  start(2);
  const ConnId conn = connects();
  opens(conn);
  ASSERT_EQ(core_.asked.size(), 1u);
  link_is_lost();
  EXPECT_TRUE(stands_in("EXTERNAL", remote_.hears(conn)));
  EXPECT_TRUE(stands_in("<temporary-auth-failure/>", says(conn, kAuth)));
  EXPECT_TRUE(stands_in("<remote-server-timeout", says(conn, db_result("other.example", "example.com"))));
  EXPECT_EQ(dialled(), Lines{});
}

TEST_F(ScriptedCore, that_refuses_is_believed_until_the_next_policy) {
  start(2);
  const ConnId conn = connects();
  opens(conn);
  ASSERT_EQ(core_.asked.size(), 1u);
  core_answers(0, Error{Code::kPolicyInsideName, "text of the core"});
  EXPECT_TRUE(stands_in("features", remote_.hears(conn)));
  EXPECT_FALSE(stands_in("EXTERNAL", remote_.hears(conn)));
  EXPECT_TRUE(stands_in("<policy-violation", says(conn, db_result("other.example", "example.com"))));
  opens(connects());
  EXPECT_EQ(core_.asked.size(), 1u);
  EXPECT_EQ(dialled(), Lines{});
}

TEST_F(ScriptedCore, is_not_asked_for_more_streams_of_one_address_than_its_share) {
  start(2);
  const std::size_t streams = limits::kAdmissionAskersPerSourceMax + 1;
  std::vector<ConnId> conns;
  for (std::size_t i = 0; i < streams; ++i) opens(conns.emplace_back(connects()));
  EXPECT_TRUE(stands_in("features", remote_.hears(conns.back())));
  EXPECT_FALSE(stands_in("features", remote_.hears(conns.end()[-2])));
  EXPECT_FALSE(stands_in("features", opens(connects("198.51.100.8")))) << "another address has its own share";
  core_answers(0, link::Answer(std::string()));
  EXPECT_TRUE(stands_in("EXTERNAL", remote_.hears(conns.end()[-2])));
}

}  // namespace
}  // namespace sallyport::gate::joined

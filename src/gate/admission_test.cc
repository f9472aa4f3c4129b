// An edge asks its core about pairs that no row names; and no inside name gets any further, in any privacy
// mode.
#include <gtest/gtest.h>

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

// Each way in which a peer may claim a name. Returns what the edge said to the claim.
struct Way {
  std::string_view name;
  std::function<std::string(Gateway&, ConnId, const Claim&)> claim;
  bool direct_tls = false;
};
const Way kWays[] = {
    {"the header's from, with a certificate for it, and auth",
     [](Gateway& world, ConnId conn, const Claim& claim) {
       const auto features = world.remote_opens(conn, claim.name, "example.com", {claim.ascii});
       EXPECT_FALSE(stands_in("EXTERNAL", features)) << claim.name;
       return world.remote_says(conn, kAuth) + world.remote_says(conn, db_result(claim.name, "example.com"));
     }},
    {"the header's from, and dialback",
     [](Gateway& world, ConnId conn, const Claim& claim) {
       world.remote_opens(conn, claim.name, "example.com", {});
       return world.remote_says(conn, db_result(claim.name, "example.com"));
     }},
    {"dialback that a certificate would prove, behind another name",
     [](Gateway& world, ConnId conn, const Claim& claim) {
       world.remote_opens(conn, "partner.example", "example.com", {claim.ascii});
       return world.remote_says(conn, db_result(claim.name, "example.com"));
     }},
    {"dialback on a stream that is proved for another name",
     [](Gateway& world, ConnId conn, const Claim& claim) {
       world.remote_opens(conn, "partner.example", "example.com", {"partner.example", claim.ascii});
       world.remote_says(conn, kAuth);
       world.remote_says(conn, header("partner.example", "example.com"));
       return world.remote_says(conn, db_result(claim.name, "example.com"));
     }},
    {"dialback without any name in the header",
     [](Gateway& world, ConnId conn, const Claim& claim) {
       world.remote_says(conn, header("", "example.com"));
       world.remote_says(conn, kStartTls);
       world.remote_secured(conn, certificate({claim.ascii}));
       world.remote_says(conn, header("", "example.com"));
       return world.remote_says(conn, db_result(claim.name, "example.com"));
     }},
    {"direct TLS",
     [](Gateway& world, ConnId conn, const Claim& claim) {
       world.remote_secured(conn, certificate({claim.ascii}, "example.com"));
       const auto features = world.remote_says(conn, header(claim.name, "example.com"));
       EXPECT_FALSE(stands_in("EXTERNAL", features)) << claim.name;
       return world.remote_says(conn, db_result(claim.name, "example.com"));
     },
     true},
};

TEST(Admission, an_internal_name_is_refused_while_negotiating_in_every_mode_and_on_every_way) {
  for (const auto mode : kModes) {
    for (const auto& claim : kClaims) {
      for (const auto& way : kWays) {
        Gateway world(core_config(), open_policy(mode));
        const std::string where =
            claim.name + ", " + std::string(way.name) + ", mode " + std::to_string(static_cast<int>(mode));
        const ConnId conn = world.remote_connects(way.direct_tls);
        const std::string said = way.claim(world, conn, claim);
        EXPECT_FALSE(stands_in("<success", said)) << where;
        EXPECT_FALSE(stands_in("'valid'", said)) << where;
        EXPECT_TRUE(stands_in("error", said) || stands_in("<failure", said)) << where << ": " << said;
        const bool logged = world.edge_log.has({"pair.refused", "remote=" + claim.ascii, claim.code}) ||
                            world.edge_log.has({"stream.end", claim.code});
        EXPECT_TRUE(logged) << where;
        EXPECT_FALSE(world.edge_log.has({"pair.proved", "remote=" + claim.ascii})) << where;
        world.pass(limits::kDialbackTimeout);
        EXPECT_TRUE(world.public_dials.empty()) << where;
        EXPECT_TRUE(world.internal_dials.empty()) << where;
        EXPECT_FALSE(world.core_log.has({"pair.proved"})) << where;
      }
    }
  }
}

TEST(Admission, an_authorization_identity_gives_no_other_name) {
  Gateway world;
  const ConnId conn = world.remote_connects();
  world.remote_opens(conn, "partner.example", "example.com", {"partner.example", "corp.example"});
  const auto said = world.remote_says(conn,
                                      "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>"
                                      "Y29ycC5leGFtcGxl</auth>");  // corp.example
  EXPECT_TRUE(stands_in("<invalid-authzid/>", said)) << said;
}

TEST(Admission, a_name_that_is_not_internal_is_admitted_after_one_question_in_every_mode) {
  for (const auto mode : kModes) {
    Gateway world(core_config(), open_policy(mode));
    world.said_by_edge.clear();
    for (int i = 0; i < 3; ++i) world.remote_proved("other.example", "example.com");
    EXPECT_EQ(count("other.example", world.said_by_edge), 1u) << static_cast<int>(mode);
    EXPECT_TRUE(world.public_dials.empty());
  }
}

TEST(Admission, a_name_in_an_exact_row_needs_no_question) {
  Gateway world;
  world.said_by_edge.clear();
  world.remote_proved("partner.example", "example.com");
  EXPECT_TRUE(world.said_by_edge.empty());
}

TEST(Admission, dialback_is_verified_once_the_core_has_admitted_the_pair) {
  Gateway world;
  const ConnId conn = world.remote_connects();
  world.remote_opens(conn, "dns.example", "example.com", {});
  EXPECT_TRUE(world.public_dials.empty());
  world.remote_says(conn, db_result("dns.example", "example.com"));
  ASSERT_EQ(world.public_dials.size(), 1u);
  EXPECT_EQ(world.public_dials[0].plan.dns, domain("dns.example"));
}

// Both within one chunk: the question is put when nobody waits for its answer any more.
TEST(Admission, of_a_stream_that_ends_with_its_claim_nothing_is_asked) {
  Gateway world;
  const ConnId conn = world.remote_connects();
  world.remote_opens(conn, "dns.example", "example.com", {});
  world.said_by_edge.clear();
  const auto said = world.remote_says(conn, db_result("ended.example", "example.com") + "</stream:stream>");
  EXPECT_TRUE(stands_in("</stream:stream>", said)) << said;
  EXPECT_EQ(count("ended.example", world.said_by_edge), 0u);
  EXPECT_TRUE(world.public_dials.empty());
}

TEST(Admission, a_refusal_is_remembered_too) {
  Gateway world;
  world.said_by_edge.clear();
  for (int i = 0; i < 3; ++i) {
    const ConnId conn = world.remote_connects();
    world.remote_opens(conn, "x.corp.example", "example.com", {"x.corp.example"});
    world.remote_says(conn, db_result("x.corp.example", "example.com"));
  }
  EXPECT_EQ(count("x.corp.example", world.said_by_edge), 1u);
}

TEST(Admission, a_new_policy_asks_again_and_ends_a_proved_pair_whose_name_is_internal_now) {
  Gateway world;
  const ConnId kept = world.remote_proved("kept.example", "example.com");
  world.remote_proved("turned.example", "example.com");
  config::PolicyUpdate update = open_policy(policy::Privacy::kOff);
  update.generation = 2;
  update.policy.served.push_back({.name = domain("rooms-2.example.com"),
                                  .internal_name = domain("turned.example"),
                                  .servers = {host("10.9.8.7:5269")},
                                  .is_alias = true});
  update.policy.rules.local.push_back({domain("rooms-2.example.com"), true});
  world.said_by_edge.clear();
  world.apply(std::move(update));
  EXPECT_TRUE(world.edge_log.has({"policy.applied", "generation=2"}));
  EXPECT_EQ(count("kept.example", world.said_by_edge), 1u);
  EXPECT_EQ(count("turned.example", world.said_by_edge), 1u);
  EXPECT_TRUE(world.edge_log.has({"pair.refused", "turned.example", "policy.inside-name"}));
  EXPECT_FALSE(world.edge_log.has({"pair.refused", "kept.example"}));
  EXPECT_TRUE(world.edge->is_proved(kept));
}

// --- a core that behaves otherwise: a session alone

class ScriptedCore : public testing::Test {
 protected:
  void start(std::uint16_t version) {
    config::EdgeConfig config{.name = domain("vcse.example.net")};
    config.cores.push_back({.name = "core-1", .pins = {}, .domains = {}});
    edge_ = std::make_unique<Edge>(EdgeSetup{std::move(config), "1", "edge"}, random_, log_, now_);
    link::SessionConfig session{link::Role::kCore, "core", "1", "core"};
    session.version_highest = version;
    core_ = std::make_unique<link::Session>(std::move(session));
    core_->handle_connected(now_.mono);
    edge_->handle_link(kLink, 0, {}, now_);
    exchange();
    config::Push push;
    push.generation = 1;
    push.rules.privacy = policy::Privacy::kOff;
    push.rules.local = {{domain("example.com"), false}};
    core_->push(1, std::make_shared<const SecretBytes>(push.encode()));
    exchange();
  }
  void exchange() {
    std::string bytes;
    for (bool any = true; any;) {
      any = false;
      if (core_->take_output(bytes, now_.mono)) {
        any = true;
        edge_->handle_bytes(kLink, std::exchange(bytes, {}), now_);
      }
      while (auto output = edge_->poll()) {
        any = true;
        if (const auto* flush = std::get_if<Flush>(&*output)) {
          if (!edge_->take_output(flush->conn, bytes, now_)) continue;
          if (flush->conn == kLink)
            core_->handle_bytes(std::exchange(bytes, {}), now_.mono);
          else
            written_[flush->conn] += std::exchange(bytes, {});
        } else if (auto* prepare = std::get_if<Prepare>(&*output)) {
          auto decoded = config::decode_push(std::move(prepare->work));
          edge_->handle_prepared(
              prepare->id,
              config::PreparedPush{std::move(decoded->policy), std::make_shared<config::Credentials>()},
              now_);
        } else if (std::holds_alternative<Dial>(*output)) {
          ++dials_;
        }
      }
      while (auto event = core_->poll()) {
        if (auto* asked = std::get_if<link::Asked>(&*event)) asked_.push_back(std::move(*asked));
      }
    }
  }
  std::string says(ConnId conn, std::string_view bytes) {
    written_[conn].clear();
    edge_->handle_bytes(conn, bytes, now_);
    exchange();
    return written_[conn];
  }
  // Up to the features after TLS.
  std::string opens(ConnId conn, std::string_view ip = "198.51.100.7") {
    Accepted accepted;
    accepted.peer = {*dns::Ip::parse(ip), 40'000};
    edge_->handle_accepted(conn, accepted, now_);
    says(conn, header("other.example", "example.com"));
    says(conn, kStartTls);
    edge_->handle_tls(conn, certificate({"other.example"}), now_);
    exchange();
    return says(conn, header("other.example", "example.com"));
  }
  void pass(Duration time) {
    for (const Time end = now_.mono + time; now_.mono < end;) {
      now_.mono = std::min(end, now_.mono + 1s);
      edge_->handle_timeout(now_);
      core_->handle_timeout(now_.mono);
      exchange();
    }
  }

  static constexpr ConnId kLink = 1'000'001;
  Random37 random_;
  Lines log_;
  Now now_{Time{1h}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Edge> edge_;
  std::unique_ptr<link::Session> core_;
  std::map<ConnId, std::string> written_;
  std::vector<link::Asked> asked_;
  std::size_t dials_ = 0;
};

TEST_F(ScriptedCore, of_version_1_is_not_asked) {
  start(1);
  EXPECT_TRUE(stands_in("EXTERNAL", opens(1)));
  EXPECT_TRUE(stands_in("<success", says(1, kAuth)));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ScriptedCore, is_asked_once_for_many_streams_and_the_features_wait) {
  start(2);
  for (ConnId conn = 1; conn < 20; conn += 2)
    EXPECT_FALSE(stands_in("features", opens(conn))) << written_[conn];
  ASSERT_EQ(asked_.size(), 1u);
  core_->answer(asked_[0].id, link::Answer(std::string("anything")));
  exchange();
  for (ConnId conn = 1; conn < 20; conn += 2) {
    EXPECT_TRUE(stands_in("EXTERNAL", written_[conn]));
    EXPECT_TRUE(stands_in("<success", says(conn, kAuth)));
  }
  EXPECT_EQ(asked_.size(), 1u);
}

TEST_F(ScriptedCore, whose_answer_makes_no_sense_refuses_for_a_while_and_ends_nothing) {
  start(2);
  opens(1);
  ASSERT_EQ(asked_.size(), 1u);
  core_->answer(asked_[0].id, Error{Code::kInternal, "?"});
  exchange();
  // Nobody has said no: EXTERNAL is offered, and `auth` asks again.
  EXPECT_TRUE(stands_in("EXTERNAL", written_[1]));
  says(1, kAuth);
  ASSERT_EQ(asked_.size(), 2u);
  written_[1].clear();
  core_->answer(asked_[1].id, Error{Code::kControlRefused, "?"});
  exchange();
  EXPECT_TRUE(stands_in("<temporary-auth-failure/>", written_[1])) << written_[1];
  says(1, db_result("other.example", "example.com"));
  ASSERT_EQ(asked_.size(), 3u);
  core_->answer(asked_[2].id, link::Answer(std::string()));
  exchange();
  EXPECT_TRUE(stands_in("type='valid'", written_[1])) << written_[1];
}

TEST_F(ScriptedCore, that_never_answers_leaves_the_stream_to_its_timeout_and_is_asked_again_later) {
  start(2);
  opens(1);
  pass(limits::kDialbackTimeout + 1s);
  // The edge gave up, so it offers EXTERNAL and asks anew.
  EXPECT_TRUE(stands_in("EXTERNAL", written_[1]));
  opens(3);
  EXPECT_EQ(asked_.size(), 2u);
  pass(limits::kNegotiationTimeout);
  EXPECT_EQ(dials_, 0u);
  EXPECT_FALSE(log_.has({"pair.proved"}));
}

TEST_F(ScriptedCore, whose_link_goes_down_while_it_is_asked_refuses_for_a_while) {
  start(2);
  opens(1);
  ASSERT_EQ(asked_.size(), 1u);
  core_->handle_disconnected(now_.mono);
  edge_->handle_disconnected(kLink, {Code::kStreamLost, {}}, now_);
  exchange();
  EXPECT_TRUE(stands_in("EXTERNAL", written_[1]));
  EXPECT_TRUE(stands_in("<temporary-auth-failure/>", says(1, kAuth)));
  EXPECT_TRUE(stands_in("<remote-server-timeout", says(1, db_result("other.example", "example.com"))));
  EXPECT_EQ(dials_, 0u);
}

TEST_F(ScriptedCore, that_refuses_is_believed_until_the_next_policy) {
  start(2);
  opens(1);
  ASSERT_EQ(asked_.size(), 1u);
  core_->answer(asked_[0].id, Error{Code::kPolicyInsideName, "text of the core"});
  exchange();
  EXPECT_TRUE(stands_in("features", written_[1]));
  EXPECT_FALSE(stands_in("EXTERNAL", written_[1]));
  EXPECT_TRUE(stands_in("<policy-violation", says(1, db_result("other.example", "example.com"))));
  opens(3);
  EXPECT_EQ(asked_.size(), 1u);
  EXPECT_EQ(dials_, 0u);
}

TEST_F(ScriptedCore, is_not_asked_for_more_streams_of_one_address_than_its_share) {
  start(2);
  const std::size_t streams = limits::kAdmissionAskersPerSourceMax + 1;
  for (std::size_t i = 0; i < streams; ++i) opens(2 * i + 1);
  const ConnId last = 2 * (streams - 1) + 1;
  EXPECT_TRUE(stands_in("features", written_[last]));
  EXPECT_FALSE(stands_in("features", written_[last - 2]));
  EXPECT_FALSE(stands_in("features", opens(last + 2, "198.51.100.8"))) << "another address has its own share";
  core_->answer(asked_[0].id, link::Answer(std::string()));
  exchange();
  EXPECT_TRUE(stands_in("EXTERNAL", written_[last - 2]));
}

}  // namespace
}  // namespace sallyport::gate::joined

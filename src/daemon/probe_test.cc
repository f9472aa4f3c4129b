#include "daemon/probe.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace sallyport::daemon {
namespace {

constexpr std::string_view kHeader =
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
    "xmlns:stream='http://etherx.jabber.org/streams' "
    "id='s1' from='federated.com' version='1.0'>";
constexpr std::string_view kPlainFeatures =
    "<stream:features><starttls "
    "xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
constexpr std::string_view kSecureFeatures =
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    "</mechanisms><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
constexpr std::string_view kProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

// A server for the probe, step by step.
class Met : public testing::Test {
 protected:
  Met() { make(false); }
  void make(bool direct) { make({{}, domain_, direct, {}, {}, {}}); }
  void make(ProbeTarget target) {
    target.plan.dns = domain_;
    steps_ = CheckSteps();
    probe_.emplace(std::move(target), steps_, now().mono + std::chrono::seconds(20));
    ASSERT_TRUE(std::holds_alternative<gate::Dial>(*probe_->poll()));
  }
  // Behaves as an edge with a certificate for example.com.
  ProbeTarget offering(s2s::ExtendedUsage usage = {true, true, true, false}) const {
    ProbeTarget target{{}, domain_, false, own_, OfferedCertificate{own_, usage, UnixTime::max()}, {}};
    target.rules = policy::PeerRules{};
    return target;
  }
  Now now(std::chrono::seconds later = {}) const { return {Time(later), UnixTime{}}; }
  void connected() {
    probe_->handle_connected(2, {{*dns::Ip::parse("192.0.2.1"), 5269}, false, "SRV x"}, now());
  }
  void says(std::string_view bytes) { probe_->handle_bytes(2, bytes, now()); }
  std::string written() {
    std::string all;
    for (auto output = probe_->poll(); output; output = probe_->poll()) {
      last_ = std::move(*output);
      std::string some;
      while (probe_->take_output(2, some, now())) {
        all += some;
        some.clear();
      }
    }
    return all;
  }
  s2s::TlsFacts facts(Result<void> chain, std::vector<std::string> names) const {
    s2s::TlsFacts facts;
    facts.version = "TLSv1.3";
    facts.peer_certificate = true;
    facts.chain = std::move(chain);
    facts.names.dns = std::move(names);
    facts.not_after = UnixTime(std::chrono::hours(24 * 90));
    if (probe_ && shown_) facts.own_certificate = own_.ascii();
    return facts;
  }
  void secured(Result<void> chain, std::vector<std::string> names) {
    probe_->handle_tls(2, facts(std::move(chain), std::move(names)), now());
  }
  // Runs up to the stream inside TLS with a peer whose certificate is valid; ours is shown.
  void meet(ProbeTarget target) {
    shown_ = target.offered.has_value();
    make(std::move(target));
    connected();
    says(std::string(kHeader) + std::string(kPlainFeatures));
    says(kProceed);
    secured({}, {"federated.com"});
    (void)written();
  }
  const boost::json::object* step_named(std::string_view what) const {
    for (const auto& step : steps_.list()) {
      if (step.at("what").as_string() == what) return &step.get_object();
    }
    return nullptr;
  }
  // "pass", "warn" or "fail" with its code; "-" where there is no such step.
  std::string verdict(std::string_view what) const {
    const auto* step = step_named(what);
    if (step == nullptr) return "-";
    std::string out(step->at("verdict").as_string());
    if (const auto* code = step->if_contains("code")) out += " " + std::string(code->as_string());
    return out;
  }
  // The first step that failed: its `what` and its code.
  std::string objection() const {
    for (const auto& step : steps_.list()) {
      if (!step.at("ok").as_bool()) {
        return std::string(step.at("what").as_string()) + " " + std::string(step.at("code").as_string());
      }
    }
    return {};
  }

  xmpp::Domain domain_ = *xmpp::Domain::parse("federated.com");
  xmpp::Domain own_ = *xmpp::Domain::parse("example.com");
  CheckSteps steps_;
  bool shown_ = false;
  std::optional<Probe> probe_;
  std::optional<gate::Output> last_;
};

TEST_F(Met, a_good_server_fails_in_nothing_without_our_certificate) {
  connected();
  const std::string header = written();
  EXPECT_NE(header.find("to='federated.com'"), std::string::npos);
  EXPECT_EQ(header.find("from="), std::string::npos);
  says(kHeader);
  says(kPlainFeatures);
  EXPECT_NE(written().find("<starttls"), std::string::npos);
  says(kProceed);
  EXPECT_EQ(written(), "");
  ASSERT_TRUE(last_ && std::holds_alternative<gate::BeginTls>(*last_));
  EXPECT_EQ(std::get<gate::BeginTls>(*last_).server_name, "federated.com");
  secured({}, {"federated.com"});
  EXPECT_NE(written().find("<stream:stream"), std::string::npos);
  says(kHeader);
  says(kSecureFeatures);
  EXPECT_TRUE(probe_->is_done());
  EXPECT_FALSE(steps_.has_failed()) << objection();
  EXPECT_NE(boost::json::serialize(steps_.list()).find("SASL EXTERNAL, dialback"), std::string::npos);
}

TEST_F(Met, direct_tls_begins_with_tls) {
  make(true);
  connected();
  EXPECT_EQ(written(), "");
  ASSERT_TRUE(last_ && std::holds_alternative<gate::BeginTls>(*last_));
  EXPECT_TRUE(std::get<gate::BeginTls>(*last_).direct);
}

TEST_F(Met, a_certificate_for_another_name_is_told_and_the_features_even_so) {
  connected();
  says(std::string(kHeader) + std::string(kPlainFeatures));
  says(kProceed);
  secured({}, {"other.example"});
  says(std::string(kHeader) + std::string(kSecureFeatures));
  EXPECT_TRUE(probe_->is_done());
  EXPECT_EQ(objection(), "proves the domain tls.name-mismatch");
}

struct Trouble {
  const char* name;
  std::string_view bytes;
  const char* objection;
};

TEST_F(Met, what_goes_wrong_is_named) {
  const Trouble cases[] = {
      {"stream error",
       "<stream:error><host-unknown "
       "xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
       "features stream.error-by-peer"},
      {"no starttls", "<stream:features/>", "STARTTLS tls.required"},
      {"the end", "</stream:stream>", "features stream.closed-by-peer"},
      {"a comment", "<!-- -->", "features xml.restricted"},
      {"failure", "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "STARTTLS tls.handshake"},
  };
  for (const Trouble& one : cases) {
    SCOPED_TRACE(one.name);
    make(false);
    connected();
    says(kHeader);
    says(one.bytes);
    EXPECT_TRUE(probe_->is_done());
    EXPECT_TRUE(steps_.has_failed());
    EXPECT_EQ(objection(), one.objection);
  }
}

TEST_F(Met, silence_ends_at_the_negotiation_timeout) {
  connected();
  const Time deadline = *probe_->poll_timeout();
  probe_->handle_timeout({deadline - Duration(1), UnixTime{}});
  EXPECT_FALSE(probe_->is_done());
  probe_->handle_timeout({deadline, UnixTime{}});
  EXPECT_TRUE(probe_->is_done());
  EXPECT_EQ(objection(), "stream header stream.negotiation-timeout");
}

TEST_F(Met, no_connection_is_the_end) {
  probe_->handle_dial_failed(2, {Code::kDialRefused, ""}, now());
  EXPECT_TRUE(probe_->is_done());
  EXPECT_EQ(objection(), "connection dial.refused");
  EXPECT_FALSE(probe_->poll());
}

// --- with our certificate

constexpr std::string_view kSuccess = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

TEST_F(Met, a_strict_server_that_accepts_our_certificate_passes) {
  meet(offering());
  ASSERT_TRUE(probe_);
  says(std::string(kHeader) + std::string(kSecureFeatures));
  EXPECT_NE(written().find("mechanism='EXTERNAL'>ZXhhbXBsZS5jb20=</auth>"), std::string::npos);
  says(kSuccess);
  EXPECT_NE(written().find("from='example.com' to='federated.com'"), std::string::npos);
  says(kHeader);
  says(
      "<stream:features><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes></limits>"
      "</stream:features>");
  EXPECT_TRUE(probe_->is_done());
  for (const auto& step : steps_.list()) EXPECT_EQ(step.at("verdict").as_string(), "pass") << step;
  EXPECT_EQ(steps_.result(), "ok");
  EXPECT_NE(step_named("session")->at("detail").as_string().find("limits max-bytes 262144"),
            std::string::npos);
  EXPECT_EQ(written(), "</stream:stream>");
}

TEST_F(Met, our_certificate_is_asked_for_by_its_own_name) {
  make(offering());
  connected();
  says(std::string(kHeader) + std::string(kPlainFeatures));
  says(kProceed);
  (void)written();
  ASSERT_TRUE(last_ && std::holds_alternative<gate::BeginTls>(*last_));
  EXPECT_EQ(std::get<gate::BeginTls>(*last_).own, own_);
  EXPECT_EQ(std::get<gate::BeginTls>(*last_).server_name, "federated.com");
}

// Answers of the peer inside TLS, and the result of our own proof.
struct Proof {
  const char* name;
  bool offered;
  std::string_view features;
  std::string_view answer;
  const char* verdict;
  const char* result;
};

TEST_F(Met, our_proof_has_a_verdict_for_each_answer) {
  constexpr std::string_view kExternalOnly =
      "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
      "</mechanisms></stream:features>";
  constexpr std::string_view kDialbackOnly =
      "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
  constexpr std::string_view kNotAuthorized =
      "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
  constexpr std::string_view kHostUnknown =
      "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
  constexpr std::string_view kRefusal =
      "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
  const Proof cases[] = {
      {"refused, dialback follows", true, kSecureFeatures, kRefusal, "warn sasl.refused", "ok"},
      {"refused, nothing follows", true, kExternalOnly, kRefusal, "fail sasl.refused", "failed"},
      {"dialback only", true, kDialbackOnly, "", "warn", "ok"},
      {"nothing offered", true, "<stream:features/>", "", "fail stream.no-offer", "failed"},
      {"our certificate is not enough", true, "", kNotAuthorized, "-", "failed"},
      {"no certificate, and the peer insists", false, "", kNotAuthorized, "warn stream.error-by-peer", "ok"},
      {"no certificate, another error", false, "", kHostUnknown, "-", "failed"},
      {"no certificate, EXTERNAL offered", false, kSecureFeatures, "", "warn", "ok"},
      {"no certificate, dialback only", false, kDialbackOnly, "", "warn", "ok"},
      {"no certificate, nothing offered", false, "<stream:features/>", "", "warn stream.no-offer", "ok"},
  };
  for (const Proof& one : cases) {
    SCOPED_TRACE(one.name);
    meet(one.offered ? offering() : ProbeTarget{{}, domain_, false, {}, {}, {}});
    says(std::string(kHeader) + std::string(one.features));
    if (!one.answer.empty()) says(one.answer);
    EXPECT_TRUE(probe_->is_done());
    EXPECT_EQ(verdict("our proof"), one.verdict);
    EXPECT_EQ(steps_.result(), one.result) << objection();
    for (const auto& step : steps_.list())
      EXPECT_EQ(step.get_object().contains("remedy"), step.at("verdict").as_string() != "pass") << step;
  }
}

// RFC 8446 6.2: in TLS 1.3 the client's handshake is over before the server has checked its certificate.
TEST_F(Met, an_end_for_want_of_our_certificate_is_a_warning_only_where_none_was_offered) {
  for (const char* text :
       {"reading: tlsv13 alert certificate required", "writing: Connection reset by peer"}) {
    for (const bool offered : {false, true}) {
      meet(offered ? offering() : ProbeTarget{{}, domain_, false, {}, {}, {}});
      probe_->handle_disconnected(2, {Code::kStreamLost, text}, now());
      EXPECT_TRUE(probe_->is_done());
      EXPECT_EQ(steps_.has_failed(), offered);
    }
  }
  meet({{}, domain_, false, {}, {}, {}});
  says(kHeader);
  probe_->handle_disconnected(2, {Code::kStreamLost, "reading: Connection reset by peer"}, now());
  EXPECT_TRUE(steps_.has_failed());
}

TEST_F(Met, a_peer_that_does_not_prove_itself_is_not_shown_whom_we_are) {
  shown_ = true;
  make(offering());
  connected();
  says(std::string(kHeader) + std::string(kPlainFeatures));
  says(kProceed);
  secured({}, {"other.example"});
  (void)written();
  says(std::string(kHeader) + std::string(kSecureFeatures));
  EXPECT_TRUE(probe_->is_done());
  EXPECT_EQ(written(), "</stream:stream>");
  EXPECT_EQ(objection(), "proves the domain tls.name-mismatch");
}

TEST_F(Met, a_server_without_tls_is_as_policy_says) {
  for (const auto tls : {policy::TlsRule::kRequired, policy::TlsRule::kOptional}) {
    ProbeTarget target = offering();
    target.rules = policy::PeerRules{policy::Authenticate::kDialback, tls, false, true};
    make(std::move(target));
    connected();
    says(std::string(kHeader) + "<stream:features/>");
    EXPECT_TRUE(probe_->is_done());
    EXPECT_EQ(verdict("STARTTLS"), tls == policy::TlsRule::kRequired ? "fail tls.required" : "warn");
  }
}

}  // namespace
}  // namespace sallyport::daemon

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

// A server as the probe meets it, step by step.
class Met : public testing::Test {
 protected:
  Met() { make(false); }
  void make(bool direct) {
    gate::DialPlan plan;
    plan.dns = domain_;
    probe_.emplace(ProbeTarget{plan, domain_, direct}, now());
    ASSERT_TRUE(std::holds_alternative<gate::Dial>(*probe_->poll()));
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
  void secured(Result<void> chain, std::vector<std::string> names) {
    s2s::TlsFacts facts;
    facts.version = "TLSv1.3";
    facts.peer_certificate = true;
    facts.chain = std::move(chain);
    facts.names.dns = std::move(names);
    probe_->handle_tls(2, facts, now());
  }
  // The first step that is not good: its `what` and its code.
  std::string objection() const {
    for (const auto& step : probe_->steps()) {
      if (!step.at("ok").as_bool()) {
        return std::string(step.at("what").as_string()) + " " + std::string(step.at("code").as_string());
      }
    }
    return {};
  }

  xmpp::Domain domain_ = *xmpp::Domain::parse("federated.com");
  std::optional<Probe> probe_;
  std::optional<gate::Output> last_;
};

TEST_F(Met, a_good_server_is_good) {
  connected();
  EXPECT_NE(written().find("to='federated.com'"), std::string::npos);
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
  EXPECT_TRUE(probe_->is_good()) << objection();
  EXPECT_NE(boost::json::serialize(probe_->steps()).find("SASL EXTERNAL, dialback"), std::string::npos);
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
    EXPECT_FALSE(probe_->is_good());
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

}  // namespace
}  // namespace sallyport::daemon
